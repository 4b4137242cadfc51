"""The Dockerfile by parsing: pinned, hashes everywhere, nothing but the product in the image, never root."""

from __future__ import annotations

import importlib
import re
import tomllib

import pytest

from app.db.migrate import ROOT
from tests.deploy.compose import load
from tests.deploy.dockerfile import (
    DOCKERFILE,
    Step,
    base_images,
    context_files,
    copied,
    ignore_patterns,
    ignored,
    stages,
)
from tests.deploy.environment import setting_names
from tests.deploy.manifests import named, pod_of, render

PINNED_BASE = re.compile(r"docker\.io/library/python:3\.\d+\.\d+-slim-([a-z]+)(@sha256:[0-9a-f]{64})?")
PINNED_CLIENT = re.compile(r"docker\.io/library/postgres:\d+\.\d+-([a-z]+)(@sha256:[0-9a-f]{64})?")
REQUIREMENTS = ROOT / "requirements"


def pins(name: str) -> dict[str, str]:
    """Package to version of a locked requirements file."""
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", (REQUIREMENTS / name).read_text(), re.MULTILINE))


def image(target: str) -> list[Step]:
    """The steps that make a target's image, those of the stages that it begins from first."""
    by_name = {stage[0].value.split()[-1]: stage for stage in stages()}
    begins_from = by_name[target][0].value.split()[0]
    return [*(image(begins_from) if begins_from in by_name else []), *by_name[target]]


def words(instruction: str, target: str = "runtime") -> list[list[str]]:
    return [step.words() for step in image(target) if step.instruction == instruction]


def commands(target: str) -> list[str]:
    return [command[0] for step in image(target) if step.instruction == "RUN" for command in step.commands()]


def test_what_the_stages_begin_from_is_pinned_to_the_patch() -> None:
    build, client, installed, *targets = base_images()
    assert build == installed
    assert targets == ["installed", "installed"]
    python, postgresql = PINNED_BASE.fullmatch(build), PINNED_CLIENT.fullmatch(client)
    assert python
    assert postgresql
    assert python[1] == postgresql[1], "the programs run with the C library of the other image"


def test_what_is_built_without_a_target_is_what_the_processes_run() -> None:
    assert [stage[0].value.split()[-1] for stage in stages()][-1] == "runtime"


@pytest.mark.parametrize("target", ["runtime", "backup"])
def test_the_image_runs_as_the_user_that_the_manifests_name(target: str) -> None:
    (user,) = words("USER", target)
    context = pod_of(named(render("production"), "Deployment", "tocsin-api"))["securityContext"]
    assert user == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    order = [step.instruction for step in image(target)]
    assert "RUN" not in order[order.index("USER") :]
    assert "COPY" not in order[order.index("USER") :]


def test_the_image_takes_the_built_environment_and_nothing_else() -> None:
    assert words("COPY") == [["--from=build", "/opt/tocsin", "/opt/tocsin"]]
    assert words("ADD") == []
    assert commands("runtime") == ["groupadd", "useradd"]


def test_the_image_for_backups_adds_the_client_programs_and_a_folder() -> None:
    added = [step for step in image("backup") if step not in image("runtime")]
    assert [step.words() for step in added if step.instruction in {"COPY", "ADD"}] == [
        ["--from=postgresql", "/opt/postgresql", "/opt/postgresql"]
    ]
    # Each program is tried while the image is built.
    assert commands("backup")[2:] == ["pg_dump", "pg_restore", "psql", "mkdir", "chown"]
    (owner,) = {tuple(command) for step in added if step.instruction == "RUN" for command in step.commands()[-1:]}
    assert owner == ("chown", *words("USER", "backup")[0], "/backups")


def test_the_client_programs_are_of_the_version_of_the_servers_that_are_shipped() -> None:
    client = base_images()[1]
    assert load()["services"]["postgres"]["image"] == client
    assert pod_of(named(render("dev"), "StatefulSet", "postgresql"))["containers"][0]["image"] == client


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
