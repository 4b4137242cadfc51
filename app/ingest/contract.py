"""What an alert source must be. A folder under ``sources/`` exports one as ``SOURCE``; a contract test finds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ConfigDict

from app.incidents.schemas import AlertEvent, Severity

MAX_ALERTS = 2000
"""Alerts in one delivery; a larger one is refused as a whole, with its number in the reason."""


FORM = "application/x-www-form-urlencoded"
_FORM_FIELDS_MAX = 200
_NOTES_MAX = 20


class ParseError(Exception):
    """The body is not what this source sends. The delivery is kept, rejected, with this as its reason.

    Attributes:
        code: Stable: ``body.not_json``, ``body.unexpected_shape``, ``body.too_many_alerts``, ``mapping.failed``.
        detail: For the tenant's eyes, bounded.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail[:500]


class NoConfig(BaseModel):
    """For sources that have nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Events(list[AlertEvent]):
    """What a parser understood, where it has more to say than the alerts: what it left out on purpose, and why.

    Attributes:
        notes: For the receipt, bounded.
    """

    def __init__(self, events: Iterable[AlertEvent] = (), *, notes: Iterable[str] = ()) -> None:
        super().__init__(events)
        self.notes: list[str] = []
        for text in notes:
            self.note(text)

    def note(self, text: str) -> None:
        """This will add a note, once and up to twenty."""
        if len(self.notes) < _NOTES_MAX and text not in self.notes:
            self.notes.append(text[:300])


@dataclass(frozen=True)
class Ignored:
    """An item of which no alert is made, and why."""

    reason: str


class Explaining(Protocol):
    """A parse, item by item, for previews.

    Attributes:
        unfound: Settings of the tenant's own that found nothing in the last item, ``labels.host`` for instance.
    """

    unfound: list[str]

    def each(self) -> Iterator[AlertEvent | Ignored]:
        """This will map one item after the other; raises ParseError."""
        ...


Parse = Callable[[bytes, Mapping[str, str], Any], list[AlertEvent]]
Explain = Callable[[bytes, Mapping[str, str], Any], Explaining]

COMMON_SEVERITIES: Mapping[str, Severity] = {
    "p0": Severity.P0,
    "p1": Severity.P1,
    "p2": Severity.P2,
    "p3": Severity.P3,
    "disaster": Severity.P0,
    "emergency": Severity.P0,
    "fatal": Severity.P0,
    "critical": Severity.P1,
    "page": Severity.P1,
    "alert": Severity.P1,
    "error": Severity.P1,
    "high": Severity.P1,
    "urgent": Severity.P1,
    "warning": Severity.P2,
    "warn": Severity.P2,
    "medium": Severity.P2,
    "normal": Severity.P2,
    "average": Severity.P2,
    "low": Severity.P3,
    "minor": Severity.P3,
    "info": Severity.P3,
    "information": Severity.P3,
    "notice": Severity.P3,
    "debug": Severity.P3,
    "none": Severity.P3,
}


@dataclass(frozen=True, kw_only=True)
class SenderKey:
    """The key of a sender that was made for another service: it knows no address of ours, the key alone finds its source.

    Attributes:
        make: Makes one of at least 128 random bits.
        pattern: What such a sender takes for a key; one that a tenant brings along must match it whole.
        says: The pattern in words.
    """

    make: Callable[[], str]
    pattern: re.Pattern[str]
    says: str


@dataclass(frozen=True, kw_only=True)
class AlertSource:
    """One kind of sender.

    Attributes:
        slug: Folder name and ``sources.kind``.
        profile: Signature profile that a new source of this kind gets unless it asks for another.
        config_model: What a tenant may set; validated before it is stored.
        parse: Pure ``(body, headers, config) -> events``; raises ParseError and nothing else, whatever the bytes.
            Header names are lower case. An ``Events`` carries notes along.
        explain: The same item by item, where a tenant's own expressions may find nothing.
        severities: From the sender's word, lower case, to ours; a tenant's own map goes over it.
        resolve_timeout_s: Default time-out for senders that do not say when it is over; None never.
        replay_window_s: How long identical bytes are the same delivery again, for senders that number nothing and repeat
            themselves; None leaves it to the profile. A field of this name in the settings goes over it.
        example: A body that makes sense, for the curl line of a new source.
        example_type: What the example is sent as; ``FORM`` makes a form of it.
        example_text: The example of a sender whose bodies are neither JSON nor forms; ``example`` stays empty then.
        max_body_bytes: Raises the profile's cap for a sender whose notifications grow large.
        content_types: What the sender's bodies may be besides what the profile takes, lower case without parameters.
        document: The vendor's page that describes the payload.
        document_date: When it was read or revised, ``2026-11`` or ``2026-11-21``.
        setup: A few sentences for the tenant: where in the sender to put the address and the credential.
        make_secret: Makes the secret where the profile's own kind would not fit into what the sender can write.
        key: For senders that were made for another service (``app/ingest/dropin``); its secret is then such a key.
    """

    slug: str
    title: str
    profile: str
    parse: Parse
    explain: Explain | None = None
    config_model: type[BaseModel] = NoConfig
    severities: Mapping[str, Severity] = field(default_factory=lambda: COMMON_SEVERITIES)
    resolve_timeout_s: int | None = None
    replay_window_s: int | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    example_type: str = "application/json"
    example_text: str = ""
    max_body_bytes: int | None = None
    content_types: tuple[str, ...] = ()
    document: str = ""
    document_date: str = ""
    setup: str = ""
    make_secret: Callable[[], str] | None = None
    key: SenderKey | None = None


def load_json(body: bytes) -> object:
    """This will parse the body strictly: no NaN, no infinity, bounded depth, valid UTF-8; of two equal keys the last wins.

    Raises:
        ParseError: It is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ParseError("body.not_json", f"the body is not JSON: {error}") from None


def load_object(body: bytes) -> dict[str, Any]:
    """This will parse the body, which must be an object.

    Raises:
        ParseError: It is not JSON, or no object.
    """
    found = load_json(body)
    if not isinstance(found, dict):
        raise ParseError("body.unexpected_shape", f"the body is {json_type(found)}, an object was expected")
    return found


def load_form(body: bytes) -> dict[str, str]:
    """This will parse ``application/x-www-form-urlencoded``; of a field sent twice the last value stands.

    Raises:
        ParseError: More than 200 fields, or no field at all.
    """
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX))
    except ValueError as error:
        raise ParseError("body.unexpected_shape", f"the body is no form: {error}") from None
    if not fields:
        raise ParseError("body.unexpected_shape", "the body is no form: it has no field")
    return fields


def load_form_or_object(body: bytes) -> dict[str, Any]:
    """This will parse a JSON object or a form, for senders that let their user choose; the first character tells.

    Raises:
        ParseError: It is neither.
    """
    return load_object(body) if body[:64].lstrip()[:1] in (b"{", b"[") else dict(load_form(body))


def json_type(value: object) -> str:
    """This will name the JSON type of a value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}
    return names[type(value)]


def check_count(count: int) -> None:
    """This will refuse a delivery with more alerts than may be taken at once.

    Raises:
        ParseError: Too many.
    """
    if count > MAX_ALERTS:
        raise ParseError("body.too_many_alerts", f"{count} alerts in one delivery; at most {MAX_ALERTS} are accepted")
