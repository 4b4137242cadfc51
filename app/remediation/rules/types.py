"""The small type system against which expressions and references are checked when a runbook is loaded."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


class Kind(StrEnum):
    """What a value is."""

    ANY = "any"
    NULL = "null"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    DATETIME = "date and time"
    DURATION = "duration"
    LIST = "list"
    OBJECT = "object"
    MAP = "map"


NUMERIC = frozenset({Kind.INTEGER, Kind.NUMBER})
ORDERED = NUMERIC | {Kind.STRING, Kind.DATETIME, Kind.DURATION}


@dataclass(frozen=True)
class ValueType:
    """A type: its kind, what a list or map holds, what fields an object has, and whether it may be absent."""

    kind: Kind
    item: ValueType | None = None
    fields: Mapping[str, ValueType] = field(default_factory=dict)
    optional: bool = False

    def __str__(self) -> str:
        name = f"list of {self.item}" if self.kind is Kind.LIST and self.item is not None else self.kind.value
        return f"{name} or null" if self.optional else name

    def accepts(self, other: ValueType) -> bool:
        """This will tell whether a value of ``other`` may stand where this is wanted."""
        if Kind.ANY in (self.kind, other.kind):
            return True
        if other.kind is Kind.NULL:
            return self.optional
        if self.kind is Kind.NUMBER and other.kind is Kind.INTEGER:
            return True
        if self.kind is Kind.LIST and other.kind is Kind.LIST and self.item is not None and other.item is not None:
            return self.item.accepts(other.item)
        return self.kind is other.kind


ANY = ValueType(Kind.ANY)
NULL = ValueType(Kind.NULL, optional=True)
BOOLEAN = ValueType(Kind.BOOLEAN)
INTEGER = ValueType(Kind.INTEGER)
NUMBER = ValueType(Kind.NUMBER)
STRING = ValueType(Kind.STRING)
DATETIME = ValueType(Kind.DATETIME)
DURATION = ValueType(Kind.DURATION)

_SCALARS: dict[object, ValueType] = {
    bool: BOOLEAN,
    int: INTEGER,
    float: NUMBER,
    str: STRING,
    datetime: DATETIME,
    timedelta: DURATION,
    type(None): NULL,
}


def type_of(annotation: object) -> ValueType:  # noqa: PLR0911 - one return a form of annotation
    """This will derive the type from a Python annotation; what it does not know is ``any``."""
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if isinstance(annotation, type):
        return _type_of_class(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(arguments[0])
    if origin in (Union, types.UnionType):
        return _type_of_union(arguments)
    if origin is Literal:
        return literal_type(arguments[0])
    if origin in (list, tuple):
        return ValueType(Kind.LIST, item=type_of(arguments[0]))
    if origin is dict:
        return ValueType(Kind.MAP, item=type_of(arguments[1]))
    return ANY


def object_type(fields: Mapping[str, ValueType]) -> ValueType:
    """This will return the type of an object with exactly these fields."""
    return ValueType(Kind.OBJECT, fields=dict(fields))


def literal_type(value: Any) -> ValueType:
    """This will return the type of a value written in a document."""
    if isinstance(value, list):
        return ValueType(Kind.LIST, item=literal_type(value[0]) if value else ANY)
    if isinstance(value, dict):
        return ValueType(Kind.MAP, item=ANY)
    return _SCALARS.get(type(value), ANY)


def _type_of_class(annotation: type) -> ValueType:
    if issubclass(annotation, BaseModel):
        return object_type({name: type_of(info.annotation) for name, info in annotation.model_fields.items()})
    if issubclass(annotation, Enum):
        return STRING if issubclass(annotation, str) else ANY
    containers: dict[object, ValueType] = {list: ValueType(Kind.LIST, item=ANY), dict: ValueType(Kind.MAP, item=ANY)}
    return containers.get(annotation, ANY)


def _type_of_union(arguments: tuple[object, ...]) -> ValueType:
    present = [type_of(argument) for argument in arguments if argument is not type(None)]
    found = present[0] if len(present) == 1 else ANY
    return replace(found, optional=len(present) < len(arguments))
