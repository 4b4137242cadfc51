"""What has to be unique or described across the whole application."""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel

import app
from app.core import errors
from app.core.errors import TocsinError
from app.core.jobs import Job
from app.settings import Settings
from app.wiring import load_handlers

T = TypeVar("T")
CATEGORIES = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, TocsinError)}


def import_everything() -> None:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.startswith(("app.cli", "app.embedded", "app.settings.example")):
            importlib.import_module(module.name)


def descendants(kind: type[T]) -> Iterator[type[T]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def test_problem_codes_are_unique_and_dotted() -> None:
    import_everything()
    by_code: dict[str, set[str]] = defaultdict(set)
    for kind in set(descendants(TocsinError)) - CATEGORIES:
        if kind.__module__.startswith("app.") and "code" in vars(kind):
            by_code[kind.code].add(kind.__qualname__)
    assert {code: names for code, names in by_code.items() if len(names) > 1} == {}
    assert [code for code in by_code if "." not in code or code != code.lower()] == []


def test_job_kinds_are_unique_and_each_has_a_handler() -> None:
    import_everything()
    kinds = [job.kind for job in descendants(Job) if job.__module__.startswith("app.") and "kind" in vars(job)]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) == set(load_handlers().kinds()) - {"bench.noop"}


def settings_without_description(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not field.description:
            yield f"{path}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_without_description(field.annotation, f"{path}{name}.")


def test_every_setting_says_what_it_is() -> None:
    assert list(settings_without_description(Settings)) == []
