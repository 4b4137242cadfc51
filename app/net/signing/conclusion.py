"""What follows from a signature that holds: freshness, delivery id, replay key, handshake."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

from app.net.signing.checks import MALFORMED, SKEW
from app.net.signing.fields import clean_id, parse_json, pointer_reader, timestamp_parser, to_datetime
from app.net.signing.profile import Profile
from app.net.signing.verdicts import Refused, Verified

_MAX_HANDSHAKE_BYTES: Final = 8192
_MAX_CHALLENGE_CHARS: Final = 1024


Claims = tuple[bytes, list[bytes], float | None, bytes | None]
"""What a request says before anything of it is believed: signed bytes, signatures, seconds, raw id."""

Conclude = Callable[[Claims, bytes, str, datetime], Verified | Refused]
"""From the claims, the body, the id of the secret that matched and the time to the verdict."""

TimeReader = Callable[[float | None, object], float | None]
IdReader = Callable[[bytes | None, object], str | None]


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
    id_window, byte_window = profile.replay_window, profile.byte_replay_window
    id_is_signed = profile.delivery_id is not None and profile.delivery_id.signed
    judges_time = profile.timestamp is not None and profile.timestamp.signed
    shakes_hands = profile.handshake == "slack_url_verification"

    def conclude(claims: Claims, body: bytes, secret_id: str, now: datetime) -> Verified | Refused:
        message, _, seconds, id_raw = claims
        document = parse_json(body) if needs_document(body) else None
        seconds = read_time(seconds, document)
        if judges_time:
            if seconds is None:
                return MALFORMED
            if is_stale(seconds, now):
                return SKEW
        delivery_id = read_id(id_raw, document)
        if by_id and delivery_id is not None:
            key, window = replay_key_of_id(delivery_id), id_window
        else:
            key, window = replay_key_of_bytes(message), byte_window
        time = to_datetime(seconds) if seconds is not None else None
        challenge = _challenge_of(document) if shakes_hands else None
        return Verified(strength, delivery_id, id_is_signed, time, key, window, secret_id, challenge)

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


def _time_reader(profile: Profile) -> TimeReader:
    spec = profile.timestamp
    if spec is None or spec.json_pointer is None:
        return lambda seconds, _document: seconds
    read, parse = pointer_reader(spec.json_pointer), timestamp_parser(spec)

    def from_document(_seconds: float | None, document: object) -> float | None:
        raw = read(document)
        return parse(raw) if raw is not None else None

    return from_document


def _id_reader(profile: Profile) -> IdReader:
    spec = profile.delivery_id
    if spec is None or spec.json_pointer is None:
        return lambda id_raw, _document: clean_id(id_raw)
    read = pointer_reader(spec.json_pointer)
    return lambda _id_raw, document: clean_id(read(document))


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
