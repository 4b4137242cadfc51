"""What follows from a signature that holds: freshness, delivery id, replay key, handshake."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from app.net.signing.checks import MALFORMED, SKEW
from app.net.signing.fields import clean_id, parse_json, pointer_reader, timestamp_parser, to_datetime
from app.net.signing.profile import Profile
from app.net.signing.verdicts import Refused, Verified

_MAX_HANDSHAKE_BYTES: Final = 8192
_MAX_CHALLENGE_CHARS: Final = 1024


class Evidence(NamedTuple):
    """What the signature check read on its way."""

    message: bytes
    body: bytes
    seconds: float | None
    id_raw: bytes | None
    secret_id: str


Conclude = Callable[[Evidence, datetime], Verified | Refused]


def replay_key_of_id(delivery_id: str) -> bytes:
    """This will return the key of a delivery whose signed id stays the same on each retry."""
    return b"i:" + delivery_id.encode()


def replay_key_of_bytes(signed: bytes) -> bytes:
    """This will return the key of a delivery that is only known by its bytes.

    Never by its signature: base64 can spell the same signature in several ways.
    """
    return b"d:" + hashlib.sha256(signed).digest()


def compile_conclusion(profile: Profile) -> Conclude:
    """This will return the function that turns a matched signature into a verdict."""
    needs_document = _document_need(profile)
    read_time, read_id = _time_reader(profile), _id_reader(profile)
    is_stale = _staleness(profile)
    strength, by_id = profile.strength, profile.keys_replay_by_id
    long_window, byte_window = profile.replay_window, profile.byte_replay_window
    id_is_signed = profile.delivery_id is not None and profile.delivery_id.signed
    judges_time = profile.timestamp is not None and profile.timestamp.signed
    shakes_hands = profile.handshake == "slack_url_verification"

    def conclude(evidence: Evidence, now: datetime) -> Verified | Refused:
        document = parse_json(evidence.body) if needs_document(evidence.body) else None
        seconds = read_time(evidence, document)
        if judges_time:
            if seconds is None:
                return MALFORMED
            if is_stale(seconds, now):
                return SKEW
        delivery_id = read_id(evidence, document)
        if by_id and delivery_id is not None:
            key, window = replay_key_of_id(delivery_id), long_window
        else:
            key, window = replay_key_of_bytes(evidence.message), byte_window
        return Verified(
            strength,
            delivery_id,
            id_is_signed,
            to_datetime(seconds) if seconds is not None else None,
            key,
            window,
            evidence.secret_id,
            _challenge_of(document) if shakes_hands else None,
        )

    return conclude


def _document_need(profile: Profile) -> Callable[[bytes], bool]:
    """This will return whether the body must be parsed to conclude: rarely, and only after the signature held."""
    points_into_body = (profile.timestamp is not None and profile.timestamp.json_pointer is not None) or (
        profile.delivery_id is not None and profile.delivery_id.json_pointer is not None
    )
    if points_into_body:
        return lambda _body: True
    if profile.handshake == "slack_url_verification":
        return lambda body: len(body) <= _MAX_HANDSHAKE_BYTES and b"url_verification" in body
    return lambda _body: False


def _time_reader(profile: Profile) -> Callable[[Evidence, object], float | None]:
    spec = profile.timestamp
    if spec is None or spec.json_pointer is None:
        return lambda evidence, _document: evidence.seconds
    read, parse = pointer_reader(spec.json_pointer), timestamp_parser(spec)

    def from_document(_evidence: Evidence, document: object) -> float | None:
        raw = read(document)
        return parse(raw) if raw is not None else None

    return from_document


def _id_reader(profile: Profile) -> Callable[[Evidence, object], str | None]:
    spec = profile.delivery_id
    if spec is None or spec.json_pointer is None:
        return lambda evidence, _document: clean_id(evidence.id_raw)
    read = pointer_reader(spec.json_pointer)
    return lambda _evidence, document: clean_id(read(document))


def _staleness(profile: Profile) -> Callable[[float, datetime], bool]:
    spec = profile.timestamp
    past, future = (spec.past_s, spec.future_s) if spec is not None else (0, 0)
    return lambda seconds, now: not -future <= now.timestamp() - seconds <= past


def _challenge_of(document: object) -> str | None:
    """Source: Slack, "url_verification event", docs.slack.dev."""
    if not isinstance(document, dict) or document.get("type") != "url_verification":
        return None
    challenge = document.get("challenge")
    return challenge if isinstance(challenge, str) and 0 < len(challenge) <= _MAX_CHALLENGE_CHARS else None
