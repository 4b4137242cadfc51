"""What the settings of a kind of source mean, for people: as the documentation of its model says."""

from __future__ import annotations

import inspect
import re

from pydantic import BaseModel

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def described(model: type[BaseModel]) -> dict[str, str]:
    """This will return each setting's meaning by its name, in order; empty where only its name says it."""
    told: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        for name, text in _ATTRIBUTE.findall((inspect.cleandoc(kind.__doc__ or "")).partition("Attributes:")[2]):
            told[name] = " ".join(text.split()).replace("``", "`")
    return {name: told.get(name, "") for name in model.model_fields}
