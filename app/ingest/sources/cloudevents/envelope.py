"""CloudEvents 1.0 off the wire: structured, batched and binary mode become one shape, and say what breaks the rules.

Source: CloudEvents 1.0.2, ``spec.md`` (required and optional attributes), ``formats/json-format.md`` (2.4 ``data`` and
``data_base64``, 4 batches) and ``bindings/http-protocol-binding.md`` (3.1.3.2 header values, 3.2, 3.3).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from app.ingest.contract import ParseError, check_count, json_type, load_json
from app.ingest.rules import values

STRUCTURED = "application/cloudevents"
BATCH = "application/cloudevents-batch"
_PREFIX = "ce-"
_REQUIRED = ("id", "source", "type")
_NAME = re.compile(r"[a-z0-9]+")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_NO_ATTRIBUTE = (dict, list, float)
_DATA_TEXT_MAX = 65_536


@dataclass(frozen=True)
class Envelope:
    """One event.

    Attributes:
        attributes: By their names, ``data`` excluded.
        warnings: Rules that it breaks and that do not make it unreadable.
    """

    attributes: dict[str, Any]
    data: Any = None
    warnings: list[str] = field(default_factory=list)


class InvalidEvent(ParseError):
    """The event breaks a rule without which it is none."""

    def __init__(self, detail: str) -> None:
        super().__init__("event.invalid", f"no CloudEvent 1.0: {detail}")


def read_events(body: bytes, headers: Mapping[str, str]) -> Iterator[Envelope | InvalidEvent]:
    """This will return each event, or what is wrong with it.

    Raises:
        ParseError: The body as a whole is not what its content type says.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media.startswith(BATCH):
        yield from _batch(body)
    elif not media.startswith(STRUCTURED) and _PREFIX + "specversion" in headers:
        yield _binary(body, headers, media)
    else:
        # Without a content type of its own it is taken for what it looks like: half of the senders say application/json.
        found = load_json(body)
        if isinstance(found, list) and not media.startswith(STRUCTURED):
            yield from _batch(body)
        else:
            yield _structured(found)


def _batch(body: bytes) -> Iterator[Envelope | InvalidEvent]:
    found = load_json(body)
    if not isinstance(found, list):
        raise ParseError("body.unexpected_shape", f"a batch is a list of events, not {json_type(found)}")
    check_count(len(found))
    for entry in found:
        yield _structured(entry)


def _structured(found: object) -> Envelope | InvalidEvent:
    if not isinstance(found, dict):
        return InvalidEvent(f"an event is an object, not {json_type(found)}")
    attributes = {name: value for name, value in found.items() if name not in ("data", "data_base64")}
    warnings: list[str] = []
    data = found.get("data")
    if "data_base64" in found:
        if "data" in found:
            return InvalidEvent("it has data and data_base64; only one of them is allowed")
        data = _decoded(found["data_base64"], attributes, warnings)
    return _checked(attributes, data, warnings)


def _decoded(encoded: object, attributes: Mapping[str, Any], warnings: list[str]) -> Any:
    try:
        raw = base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else None
    except (binascii.Error, ValueError):
        raw = None
    if raw is None:
        warnings.append("data_base64 is not base64: the data was left out")
        return None
    media = attributes.get("datacontenttype")
    return _data(raw, media.partition(";")[0].strip().lower() if isinstance(media, str) else "", warnings)


def _binary(body: bytes, headers: Mapping[str, str], media: str) -> Envelope | InvalidEvent:
    attributes: dict[str, Any] = {
        name[len(_PREFIX) :]: _header_value(value) for name, value in headers.items() if name.startswith(_PREFIX)
    }
    if media:
        attributes["datacontenttype"] = headers["content-type"]
    warnings: list[str] = []
    return _checked(attributes, _data(body, media, warnings), warnings)


def _header_value(raw: str) -> str:
    text = raw.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return unquote(text, errors="replace")


def _data(raw: bytes, media: str, warnings: list[str]) -> Any:
    """JSON where it says so or says nothing, text otherwise."""
    if not raw:
        return None
    if not media or media == "application/json" or media.endswith("+json"):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            warnings.append(f"the data is not JSON: {error}"[: values.WARNING_MAX])
    return raw[:_DATA_TEXT_MAX].decode("utf-8", "replace")


def _checked(attributes: dict[str, Any], data: Any, warnings: list[str]) -> Envelope | InvalidEvent:
    version = attributes.get("specversion")
    if version != "1.0":
        said = (
            f"specversion is {values.one_line(version, limit=20)!r}"
            if version is not None
            else "specversion is missing"
        )
        return InvalidEvent(f"{said}; it must be '1.0'")
    for name in _REQUIRED:
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            return InvalidEvent(f"{name} is required and a text that is not empty")
    return Envelope(attributes, data, [*warnings, *_breaches(attributes)])


def _breaches(attributes: dict[str, Any]) -> Iterator[str]:
    """Say what is wrong with the rest, and take out what cannot be used."""
    for name in list(attributes):
        value = attributes[name]
        if _NAME.fullmatch(name) is None:
            yield f"attribute {name[:40]!r}: names are lower-case letters and digits"
        elif value is None:
            del attributes[name]  # the JSON format's way to say that it is not there
        elif isinstance(value, _NO_ATTRIBUTE):
            yield f"attribute {name[:40]!r} is {json_type(value)}; attributes are texts, whole numbers or booleans"
        elif value == "":
            del attributes[name]
            yield f"attribute {name[:40]!r} is empty"
    time = attributes.get("time")
    if time is not None and (not isinstance(time, str) or _RFC3339.fullmatch(time) is None):
        yield "time is no RFC 3339 time"
    schema = attributes.get("dataschema")
    if schema is not None and not _is_absolute(schema):
        yield "dataschema is no absolute URI"


def _is_absolute(uri: object) -> bool:
    try:
        return isinstance(uri, str) and bool(urlsplit(uri).scheme)
    except ValueError:
        return False
