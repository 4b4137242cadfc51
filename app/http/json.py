"""JSON out, fast and without surprises."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel


def to_json(value: object) -> bytes:
    """This will serialise plain values and pydantic models to UTF-8 JSON."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"cannot serialise {type(value).__name__}")
