"""The builder in ``kustomize.py`` builds what kustomize builds, and refuses what it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.deploy.kustomize import Unsupported, build
from tests.deploy.manifests import K8S, OVERLAYS, built_by_kubectl, by_identity

SAMPLE = Path(__file__).parent / "kustomize_sample"


def test_every_feature_does_what_kustomize_5_5_recorded() -> None:
    recorded = list(yaml.safe_load_all((SAMPLE / "expected.yaml").read_text()))
    assert by_identity(build(SAMPLE / "overlay")) == by_identity(recorded)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_what_kustomize_makes_of_it(overlay: str) -> None:
    built = by_identity(build(K8S / "overlays" / overlay))
    # Where there is no kubectl, the recorded sample above is what holds the builder to kustomize.
    theirs = built_by_kubectl(K8S / "overlays" / overlay)
    assert built == (by_identity(theirs) if theirs is not None else built)
    assert built


def write(folder: Path, text: str, **files: str) -> Path:
    (folder / "kustomization.yaml").write_text(text)
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content)
    return folder


ACCOUNT = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{resources: [a.yaml], namePrefix: x-}", "namePrefix"),
        ("{resources: [a.yaml], nameSuffix: -x}", "nameSuffix on a ServiceAccount"),
        ("{resources: [a.yaml], labels: [{pairs: {b: c}, includeSelectors: true}]}", "includeSelectors"),
        ("{resources: [a.yaml], configMapGenerator: [{name: c, files: [x]}]}", "files"),
        ("{resources: [a.yaml], images: [{name: i, tagSuffix: -x}]}", "tagSuffix"),
        ("{resources: [a.yaml], patches: [{target: {kind: ServiceAccount}, patch: 'kind: x'}]}", "strategic"),
        (
            "{resources: [a.yaml], patches: [{target: {kind: ServiceAccount}, patch: '[{op: move, path: /kind}]'}]}",
            "move",
        ),
    ],
)
def test_what_it_does_not_know_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        build(write(tmp_path, text, a=ACCOUNT))


def test_a_patch_that_meets_nothing_is_an_error(tmp_path: Path) -> None:
    patch = "[{op: replace, path: /x, value: 1}]"
    for target, error in (("{kind: Secret}", ValueError), ("{kind: ServiceAccount}", KeyError)):
        text = f"{{resources: [a.yaml], patches: [{{target: {target}, patch: '{patch}'}}]}}"
        with pytest.raises(error):
            build(write(tmp_path, text, a=ACCOUNT))


def test_two_objects_of_one_name_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same identity"):
        build(write(tmp_path, "{resources: [a.yaml, b.yaml]}", a=ACCOUNT, b=ACCOUNT))
