"""How a source's sender is to prove itself, as it is typed: a secret, or a profile of one's own in a file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.transactions import fail, safe

MAX_FILE_BYTES = 1_048_576
ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile-file", help="A profile of your own, as YAML or JSON ('tocsin sources profiles check')."),
]

GivenSecret = Annotated[
    str | None,
    typer.Option("--secret", envvar="TOCSIN_SOURCE_SECRET", help="Yours; without it one is made. Prefer the variable."),
]


def given_profile(profile: str | None, file: Path | None) -> str | dict[str, Any] | None:
    """This will return the shipped profile's slug or what the file holds; None where neither was given."""
    if profile is not None and file is not None:
        raise fail("give a shipped profile or a file with one of your own, not both")
    return profile if file is None else read_document(file)


def read_document(path: Path) -> dict[str, Any]:
    """This will read YAML, of which JSON is a part; times become text, as in JSON."""
    import yaml

    try:
        with path.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
        found = yaml.safe_load(raw) if len(raw) <= MAX_FILE_BYTES else None
    except (OSError, yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise fail(f"{path}: {safe(str(error))}") from None
    if not isinstance(found, dict):
        raise fail(f"{path} holds no object, or more than {MAX_FILE_BYTES} bytes")
    plain = _plain(found)
    return plain if isinstance(plain, dict) else {}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
