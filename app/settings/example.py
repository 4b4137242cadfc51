"""``python -m app.settings.example``: every setting with its default and meaning, as an .env file."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator

import orjson
from pydantic import BaseModel, SecretStr

from app.settings import Settings


def lines(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """This will yield the lines of a section and of its sub-sections."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name.upper()}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield ""
            yield f"### {field.description}"
            yield from lines(kind, f"{key}__")
        else:
            yield ""
            yield from (f"# {line}" for line in textwrap.wrap(field.description or "", 110))
            yield f"# {key}={_shown(field.get_default(call_default_factory=True))}"


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def main() -> None:
    """This will write the file to standard output."""
    sys.stdout.write("# Every setting of Tocsin with its default; made by `make env-example`.\n")
    sys.stdout.write("\n".join(lines(Settings, "TOCSIN_")) + "\n")


if __name__ == "__main__":
    main()
