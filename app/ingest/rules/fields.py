"""Reading a sender's object field by field, and making a key of several fields. Nothing here raises on any JSON value."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from app.ingest.rules import values

_NOTHING: Mapping[str, Any] = {}


def text_of(value: object, *, limit: int = values.LABEL_VALUE_MAX) -> str:
    """This will return a text, number or boolean as one clean line; nothing for null, lists and objects."""
    if isinstance(value, str):
        return values.one_line(value, limit=limit) if value else ""
    if value is None or isinstance(value, list | dict):
        return ""
    return values.clean_text(value, limit=limit)


def text_at(holder: Mapping[str, Any], *names: str, limit: int = values.LABEL_VALUE_MAX) -> str:
    """This will return the first of the fields that says something, as one clean line."""
    for name in names:
        found = text_of(holder.get(name), limit=limit)
        if found:
            return found
    return ""


def prose_at(holder: Mapping[str, Any], *names: str, limit: int = values.DESCRIPTION_MAX) -> str:
    """This will return the first of the fields that says something, its line breaks kept, for descriptions."""
    for name in names:
        value = holder.get(name)
        if isinstance(value, str) and not value.isspace() and value:
            return values.clean_text(value.strip(), limit=limit)
    return ""


def time_at(holder: Mapping[str, Any], *names: str) -> datetime | None:
    """This will return the first of the fields that is a time, as ``values.parse_time`` reads it."""
    for name in names:
        found = values.parse_time(holder.get(name))
        if found is not None:
            return found
    return None


def object_at(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """This will return the object in a field; an empty one where something else is there."""
    found = holder.get(name)
    return found if isinstance(found, dict) else _NOTHING


def objects_at(holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """This will return the objects of the list in a field, without whatever else is in it."""
    found = holder.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def texts_at(holder: Mapping[str, Any], name: str, *, most: int = 20) -> list[str]:
    """This will return the first ``most`` entries of the list in a field that are text, each as one clean line."""
    found = holder.get(name)
    if not isinstance(found, list):
        return []
    return [text for text in (text_of(entry) for entry in found[:most]) if text]


def description_of(parts: Iterable[str], *, between: str = "\n") -> str:
    """This will make a description of those parts that say something."""
    return values.clean_text(between.join(part for part in parts if part), limit=values.DESCRIPTION_MAX)


def facts_of(*facts: tuple[str, str]) -> str:
    """This will write out what is known, ``name: text`` on a line each, for descriptions."""
    return description_of(f"{name}: {text}" for name, text in facts if text)


def frame_of(method: str, file: str, line: str) -> str:
    """This will write out one frame of a stack trace, for descriptions; nothing where its file is not known."""
    if not file:
        return ""
    return f"  at {method} ({file}:{line})" if method else f"  at {file}:{line}"


def others(holder: Mapping[str, Any], known: Collection[str]) -> dict[str, str]:
    """This will return what came along besides the known fields, for annotations."""
    found = {name: value for name, value in holder.items() if name not in known}
    return said(values.clean_mapping(found, value_limit=values.ANNOTATION_MAX))


def said(pairs: Mapping[str, str]) -> dict[str, str]:
    """This will return the pairs that say something: an empty label groups what has nothing in common."""
    return {name: text for name, text in pairs.items() if text}


def compound_key(kind: str, *parts: str) -> str:
    """This will make one dedup key of several parts, so that ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "replace")
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return f"{kind}:{digest.hexdigest()[:32]}"


def bounded(warnings: Iterable[str]) -> tuple[str, ...]:
    """This will return the first 20 warnings, each cut to its limit."""
    return tuple(warning[: values.WARNING_MAX] for warning in list(warnings)[:20])
