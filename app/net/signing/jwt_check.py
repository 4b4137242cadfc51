"""The kind jwt: a bearer token that an issuer signed, checked with the keys that it publishes.

Claims are compared before the signature: a stranger who does not know whom the source believes makes us fetch nothing. They
are read again from what the signature covers. Source: RFC 7515, 7519; RFC 8725, section 3.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import jwt
import orjson

from app.net.signing.checks import (
    CLAIM,
    MALFORMED,
    MISMATCH,
    MISSING,
    NO_SECRET,
    SKEW,
    UNKNOWN_KEY,
    Held,
    Wanted,
    active,
    refuse,
)
from app.net.signing.conclusion import compile_conclusion
from app.net.signing.fields import compile_picker, first_present
from app.net.signing.format import JwtSpec
from app.net.signing.key_sets import Document, PublishedKey
from app.net.signing.profile import Profile
from app.net.signing.verdicts import Refused, Secret, SignedRequest, Verified

_PART = re.compile(rb"[A-Za-z0-9_-]{2,12000}")
_KEY_ID = re.compile(r"[!-~]{1,255}")
# What names another key than the published ones, or changes the meaning of the rest, is refused rather than ignored.
_TREACHEROUS: Final = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"})
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt"})
_JWS = jwt.PyJWS(algorithms=["RS256", "ES256"])

Claims = dict[str, Any]


class _Token(NamedTuple):
    """A token taken apart; nothing of it is believed."""

    text: str
    algorithm: str
    key_id: str
    claims: Claims


class JwtCheck:
    """Both steps of the verification."""

    def __init__(self, profile: Profile) -> None:
        if profile.token is None or profile.jwt is None:
            raise ValueError("a jwt profile has a token and a jwt")
        self._spec: JwtSpec = profile.jwt
        names = (profile.token.header, *profile.token.aliases)
        id_spec = profile.delivery_id
        id_names = (id_spec.header, *id_spec.aliases) if id_spec is not None and id_spec.header is not None else ()
        self._pick = compile_picker((*names, *id_names), profile.limits.max_header_bytes)
        self._read = first_present(names)
        self._read_id = first_present(id_names) if id_names else None
        self._head = profile.token.prefix.encode()
        self._conclude = compile_conclusion(profile)

    def check(self, request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> Verified | Refused:
        """This will judge without any key at hand, so refuse."""
        return self.judge(request, secrets, now, {})

    def wants(self, request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> tuple[Wanted, ...]:
        """This will name the key sets of the sources that the token says it is for."""
        token = self._token(request)
        if isinstance(token, Refused):
            return ()
        believed = [secret for secret in active(secrets, now) if self._fault(token.claims, secret, now) is None]
        return tuple({Wanted(self._address(secret), Document.JWKS, token.key_id): None for secret in believed})

    def judge(self, request: SignedRequest, secrets: Sequence[Secret], now: datetime, held: Held) -> Verified | Refused:
        """This will say whether an issuer that the source believes has signed the token."""
        usable = active(secrets, now)
        if not usable:
            return refuse(NO_SECRET, request)
        token = self._token(request)
        if isinstance(token, Refused):
            return refuse(token, request)
        verdict: Refused = MISMATCH
        for secret in usable:
            fault = self._fault(token.claims, secret, now) or self._signature_fault(token, secret, now, held)
            if fault is None:
                return self._concluded(request, secret, now)
            verdict = fault
        return refuse(verdict, request)

    def _concluded(self, request: SignedRequest, secret: Secret, now: datetime) -> Verified | Refused:
        found = self._pick(request.headers) or {}
        id_raw = self._read_id(found) if self._read_id is not None else None
        return self._conclude((request.body, [], None, id_raw), request.body, secret.id, now)

    def _address(self, secret: Secret) -> str:
        return self._spec.fill(self._spec.jwks_url, secret.pins)

    def _token(self, request: SignedRequest) -> _Token | Refused:
        found = self._pick(request.headers)
        if found is None:
            return MALFORMED
        value = self._read(found)
        if value is None:
            return MISSING
        if not value.startswith(self._head):
            return MALFORMED
        return _take_apart(value[len(self._head) :], self._spec.algorithms) or MALFORMED

    def _signature_fault(self, token: _Token, secret: Secret, now: datetime, held: Held) -> Refused | None:
        key = held.get(self._address(secret), {}).get(token.key_id)
        if key is None or key.algorithm != token.algorithm or not key.is_valid_at(now):
            return UNKNOWN_KEY
        claims = _signed_claims(token, key)
        return MISMATCH if claims is None else self._fault(claims, secret, now)

    def _fault(self, claims: Claims, secret: Secret, now: datetime) -> Refused | None:
        """This will return what is wrong with the claims for this secret's pins."""
        spec, pins = self._spec, secret.pins
        if not spec.pins <= pins.keys():
            return NO_SECRET
        if claims.get("iss") != spec.fill(spec.issuer, pins):
            return CLAIM
        if not _names(claims.get("aud"), spec.fill(spec.audience, pins)):
            return CLAIM
        for name, wanted in spec.claims.items():
            if not _names(claims.get(name), spec.fill(wanted, pins) if isinstance(wanted, str) else wanted):
                return CLAIM
        return _time_fault(claims, now.timestamp(), spec.leeway_s)


def _names(claim: object, wanted: str | bool) -> bool:
    """This will say whether the claim is the wanted value, or a list with it."""
    values = claim if isinstance(claim, list) else [claim]
    return any(type(value) is type(wanted) and value == wanted for value in values)


def _time_fault(claims: Claims, now: float, leeway_s: int) -> Refused | None:
    """This will return what is wrong with the times: an end must be given, a beginning may be."""
    until = _time(claims.get("exp"))
    starts = [_time(claims[name]) for name in ("nbf", "iat") if claims.get(name) is not None]
    if until is None or None in starts:
        return MALFORMED
    is_early = any(start is not None and now < start - leeway_s for start in starts)
    return SKEW if is_early or now >= until + leeway_s else None


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e12 else None


def _take_apart(raw: bytes, algorithms: Sequence[str]) -> _Token | None:
    parts = raw.split(b".")
    if len(parts) != 3 or any(_PART.fullmatch(part) is None for part in parts):
        return None
    header, claims = _object(parts[0]), _object(parts[1])
    if header is None or claims is None or _TREACHEROUS & header.keys():
        return None
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        return None
    if not isinstance(key_id, str) or _KEY_ID.fullmatch(key_id) is None:
        return None
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        return None
    return _Token(raw.decode("ascii"), algorithm, key_id, claims)


def _object(part: bytes) -> Claims | None:
    try:
        found = orjson.loads(base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _signed_claims(token: _Token, key: PublishedKey) -> Claims | None:
    """This will return the claims that the signature covers, None if it does not hold."""
    try:
        payload = _JWS.decode(token.text, key=key.key, algorithms=[key.algorithm])
        claims = orjson.loads(payload)
    except (jwt.PyJWTError, orjson.JSONDecodeError):
        return None
    return claims if isinstance(claims, dict) else None
