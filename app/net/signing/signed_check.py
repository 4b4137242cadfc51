"""The kinds that sign, HMAC and Ed25519: a profile becomes one function over raw bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from app.net.signing import curve
from app.net.signing.checks import (
    MALFORMED,
    MAX_CURVE_ACTIVE,
    MAX_CURVE_SIGNATURES,
    MISMATCH,
    MISSING,
    NO_SECRET,
    Check,
    active,
    refuse,
    refuse_curve,
)
from app.net.signing.conclusion import Claims, compile_conclusion
from app.net.signing.fields import compile_picker, first_present, id_pattern, text_pattern, timestamp_parser
from app.net.signing.format import Kind
from app.net.signing.profile import Profile
from app.net.signing.signatures import compile_curve_reader, compile_matcher, compile_shape, compile_splitter
from app.net.signing.template import BODY, DELIVERY_ID, METHOD, PATH, TIMESTAMP
from app.net.signing.verdicts import Refused, Secret, SignedRequest, Verified

Found = dict[bytes, bytes]
PartReader = Callable[[SignedRequest, Found, bytes | None, bytes | None], bytes | None]
MessageReader = Callable[[SignedRequest, Found, bytes | None, bytes | None], bytes | Refused]


def compile_signed_check(profile: Profile) -> Check:
    """This will return the check of a signing profile: read, compare with every secret, conclude."""
    if profile.kind is Kind.ED25519:
        return _compile_curve_check(profile)
    read, match = compile_reader(profile), compile_matcher(profile)
    is_well_formed, conclude = compile_shape(profile), compile_conclusion(profile)

    def check(request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> Verified | Refused:
        usable = active(secrets, now)
        if not usable:
            return refuse(NO_SECRET, request)
        claims = read(request)
        if isinstance(claims, Refused):
            return refuse(claims, request)
        message, signatures = claims[0], claims[1]
        matched: Secret | None = None
        for secret in usable:
            # No early exit: which of the secrets matched must not show in the time.
            if match(secret.key, message, signatures) and matched is None:
                matched = secret
        spent = len(usable)
        if matched is None:
            return refuse(MISMATCH if is_well_formed(signatures) else MALFORMED, request, spent=spent)
        verdict = conclude(claims, request.body, matched.id, now)
        return refuse(verdict, request, spent=spent) if isinstance(verdict, Refused) else verdict

    return check


def _compile_curve_check(profile: Profile) -> Check:
    """This will return the same for Ed25519; every refusal costs as many operations on the curve as any other."""
    read, candidates = compile_reader(profile), compile_curve_reader(profile.encoding)
    conclude = compile_conclusion(profile)

    def check(request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> Verified | Refused:
        usable = active(secrets, now)
        if not usable:
            return refuse_curve(NO_SECRET, request)
        claims = read(request)
        if isinstance(claims, Refused):
            return refuse_curve(claims, request)
        signatures = candidates(claims[1])
        if not signatures or len(signatures) > MAX_CURVE_SIGNATURES:
            return refuse_curve(MALFORMED, request)
        matched: Secret | None = None
        for secret in usable[:MAX_CURVE_ACTIVE]:
            for signature in signatures:
                if curve.holds(secret.key, signature, claims[0]) and matched is None:
                    matched = secret
        spent = len(usable[:MAX_CURVE_ACTIVE]) * len(signatures)
        if matched is None:
            return refuse_curve(MISMATCH, request, spent=spent)
        verdict = conclude(claims, request.body, matched.id, now)
        return refuse_curve(verdict, request, spent=spent) if isinstance(verdict, Refused) else verdict

    return check


def compile_reader(profile: Profile) -> Callable[[SignedRequest], Claims | Refused]:
    """This will return the function that takes a request apart into signatures and signed bytes."""
    pick = compile_picker(_header_names(profile), profile.limits.max_header_bytes)
    read_signatures, assemble = _compile_signatures(profile), _compile_message(profile)
    read_time, read_id = _compile_time(profile), _compile_id(profile)

    def read(request: SignedRequest) -> Claims | Refused:
        found = pick(request.headers)
        if found is None:
            return MALFORMED
        parsed = read_signatures(found)
        if isinstance(parsed, Refused):
            return parsed
        signatures, beside = parsed
        time = read_time(found, beside)
        if isinstance(time, Refused):
            return time
        id_raw = read_id(found)
        message = assemble(request, found, time[0], id_raw)
        return message if isinstance(message, Refused) else (message, signatures, time[1], id_raw)

    return read


def _compile_signatures(profile: Profile) -> Callable[[Found], tuple[list[bytes], bytes | None] | Refused]:
    if profile.signature is None:
        raise ValueError("a signing profile has a signature")
    read = first_present((profile.signature.header, *profile.signature.aliases))
    split = compile_splitter(profile.signature.format)

    def signatures(found: Found) -> tuple[list[bytes], bytes | None] | Refused:
        header = read(found)
        return MISSING if header is None else split(header) or MALFORMED

    return signatures


def _compile_message(profile: Profile) -> MessageReader:
    """This will return the function that puts the signed bytes together."""
    template = profile.template
    if template.is_body_only:
        return lambda request, _found, _time, _id: request.body
    readers = tuple(_compile_part(profile, name) for name in template.variables)
    signs_id, assemble = DELIVERY_ID in template.variables, template.compile()

    def message(request: SignedRequest, found: Found, time: bytes | None, id_raw: bytes | None) -> bytes | Refused:
        values: list[bytes] = []
        for reader in readers:
            value = reader(request, found, time, id_raw)
            if value is None:
                return MISSING if signs_id and id_raw is None else MALFORMED
            values.append(value)
        return assemble(values)

    return message


def _header_names(profile: Profile) -> tuple[str, ...]:
    names: list[str] = []
    for spec in (profile.signature, profile.timestamp, profile.delivery_id):
        if spec is not None and spec.header is not None:
            names += [spec.header, *spec.aliases]
    return (*names, *profile.template.header_names)


def _compile_time(profile: Profile) -> Callable[[Found, bytes | None], tuple[bytes | None, float | None] | Refused]:
    """This will return the reader of the timestamp; one that is signed must be there and be canonical."""
    spec = profile.timestamp
    if spec is None or spec.json_pointer is not None:
        return lambda _found, _beside: (None, None)
    parse, is_signed = timestamp_parser(spec), spec.signed
    read = first_present((spec.header, *spec.aliases)) if spec.header is not None else None

    def time(found: Found, beside: bytes | None) -> tuple[bytes | None, float | None] | Refused:
        raw = read(found) if read is not None else beside
        seconds = parse(raw) if raw is not None else None
        if is_signed and seconds is None:
            return MISSING if raw is None else MALFORMED
        return raw, seconds

    return time


def _compile_id(profile: Profile) -> Callable[[Found], bytes | None]:
    spec = profile.delivery_id
    if spec is None or spec.header is None:
        return lambda _found: None
    return first_present((spec.header, *spec.aliases))


def _compile_part(profile: Profile, name: str) -> PartReader:
    """This will return the reader of one variable of the template; None: absent, or it could move a boundary."""
    forbidden = profile.template.forbidden_in(name)
    text, identifier = text_pattern(forbidden), id_pattern(forbidden)
    plain: dict[str, PartReader] = {
        BODY: lambda request, _found, _time, _id: request.body,
        TIMESTAMP: lambda _request, _found, time, _id: time,
        DELIVERY_ID: lambda _request, _found, _time, id_: _matching(identifier, id_),
        METHOD: lambda request, _found, _time, _id: _matching(text, request.method.encode("utf-8", "surrogatepass")),
        PATH: lambda request, _found, _time, _id: _matching(text, request.path.encode("utf-8", "surrogatepass")),
    }
    if name in plain:
        return plain[name]
    header = name.partition(":")[2].encode()
    return lambda _request, found, _time, _id: _matching(text, found.get(header))


def _matching(pattern: re.Pattern[bytes], value: bytes | None) -> bytes | None:
    return value if value is not None and pattern.fullmatch(value) is not None else None
