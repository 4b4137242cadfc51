"""The Dockerfile by parsing: pinned, two stages, hashes everywhere, nothing but the product in the image, never root."""

from __future__ import annotations

import importlib
import re
import tomllib

import pytest

from app.db.migrate import ROOT
from tests.deploy.dockerfile import (
    DOCKERFILE,
    base_images,
    context_files,
    copied,
    ignore_patterns,
    ignored,
    stages,
)
from tests.deploy.environment import setting_names
from tests.deploy.manifests import named, pod_of, render

PINNED_BASE = re.compile(r"docker\.io/library/python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?")
REQUIREMENTS = ROOT / "requirements"


def pins(name: str) -> dict[str, str]:
    """Package to version of a locked requirements file."""
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", (REQUIREMENTS / name).read_text(), re.MULTILINE))


def words(instruction: str) -> list[list[str]]:
    return [step.words() for step in stages()[-1] if step.instruction == instruction]


def test_both_stages_begin_from_one_image_that_is_pinned_to_the_patch() -> None:
    images = base_images()
    assert len(images) == 2
    assert len(set(images)) == 1
    assert PINNED_BASE.fullmatch(images[0])


def test_the_image_runs_as_the_user_that_the_manifests_name() -> None:
    (user,) = words("USER")
    context = pod_of(named(render("production"), "Deployment", "tocsin-api"))["securityContext"]
    assert user == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    order = [step.instruction for step in stages()[-1]]
    assert "RUN" not in order[order.index("USER") :]
    assert "COPY" not in order[order.index("USER") :]


def test_the_last_stage_takes_the_built_environment_and_nothing_else() -> None:
    assert words("COPY") == [["--from=build", "/opt/tocsin", "/opt/tocsin"]]
    assert words("ADD") == []
    commands = [command[0] for step in stages()[-1] if step.instruction == "RUN" for command in step.commands()]
    assert commands == ["groupadd", "useradd"]


def test_everything_that_is_installed_is_checked_by_its_hash_or_was_built_here() -> None:
    installs = [
        command
        for stage in stages()
        for step in stage
        if step.instruction == "RUN"
        for command in step.commands()
        if "install" in command or "wheel" in command
    ]
    assert len(installs) == 4
    for command in installs:
        checked = "--require-hashes" in command or "--no-index" in command or "--no-build-isolation" in command
        assert checked, command
    for name in ("build.txt", "image.txt"):
        entries = re.split(r"\n(?=\S)", (REQUIREMENTS / name).read_text().strip())
        assert all("==" in entry and re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries), name


def test_the_image_holds_what_the_project_needs_and_no_servers_or_tools() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    image, base = pins("image.txt"), pins("base.txt")
    wanted = {re.split(r"[\[>=;<~!]", line)[0].strip().lower() for line in project["dependencies"]}
    assert wanted <= set(image)
    embedded = {re.split(r"[>=]", line)[0] for line in project["optional-dependencies"]["embedded"]}
    assert embedded & set(image) == set()
    assert {"pytest", "mypy", "ruff", "setuptools", "pip", "hypothesis"} & set(image) == set()
    assert {name: base.get(name) for name in image} == image, "make lock: the image runs what the tests run"


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    patterns, files = ignore_patterns(), context_files()
    for sources, _ in copied(stages()[0]):
        for source in sources:
            assert (ROOT / source).exists(), source
            assert not ignored(source, patterns), source
    wanted = tuple(source for sources, _ in copied(stages()[0]) for source in sources)
    strays = [name for name in files if not name.startswith(wanted)]
    assert strays == []


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        "tests/conftest.py",
        "tocsin-data/secrets.json",
        "deploy/compose/.env",
        "requirements/dev.txt",
    ],
)
def test_what_must_not_be_in_an_image_does_not_reach_the_builder(path: str) -> None:
    assert ignored(path, ignore_patterns())


def test_ignoring_works_as_docker_does_it() -> None:
    assert ignored("app/net/__pycache__/x.pyc", ignore_patterns())
    assert not ignored("app/main.py", ignore_patterns())
    assert not ignored("migrations/sql/0001/claim_due.sql", ignore_patterns())


def test_the_default_command_is_the_api_as_the_manifests_start_it() -> None:
    (command,) = words("CMD")
    container = pod_of(named(render("production"), "Deployment", "tocsin-api"))["containers"][0]
    assert command[:5] == container["command"]
    assert sorted(command[5:]) == sorted(container["args"])
    module, attribute = command[3].split(":")
    assert callable(getattr(importlib.import_module(module), attribute))


def test_the_environment_is_settings_and_holds_no_secret() -> None:
    text = DOCKERFILE.read_text()
    assert set(re.findall(r"\bTOCSIN_\w+", text)) <= setting_names()
    assert not re.search(
        r"(?i)password|secret[^ ]*=|token=|pepper",
        "\n".join(line for line in text.splitlines() if not line.startswith("#")),
    )


def test_the_ports_that_are_named_are_the_ones_that_are_opened() -> None:
    container_ports = {
        str(port["containerPort"])
        for body in render("production")
        if body["kind"] == "Deployment"
        for port in pod_of(body)["containers"][0]["ports"]
    }
    (exposed,) = words("EXPOSE")
    assert set(exposed) == container_ports
