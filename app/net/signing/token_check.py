"""The kinds that only show a secret: bearer token or header, basic, secret in the URL.

What is kept is the SHA-256 of the secret, and digests are compared: the time depends on neither the secret
nor on how much of it was guessed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime

from app.net.signing.checks import MALFORMED, MISMATCH, MISSING, NO_SECRET, Check, active, refuse
from app.net.signing.conclusion import compile_conclusion
from app.net.signing.fields import compile_picker, first_present
from app.net.signing.format import Kind
from app.net.signing.profile import Profile
from app.net.signing.verdicts import Refused, Secret, SignedRequest, Verified

Found = dict[bytes, bytes]
CredentialReader = Callable[[SignedRequest, Found], bytes | Refused]

_BASIC = b"Basic "


def compile_token_check(profile: Profile) -> Check:
    """This will return the check of a profile of kind token, basic or url_secret."""
    id_spec = profile.delivery_id
    id_names = (id_spec.header, *id_spec.aliases) if id_spec is not None and id_spec.header is not None else ()
    names, read_credential = _compile_credential(profile)
    pick = compile_picker((*names, *id_names), profile.limits.max_header_bytes)
    read_id = first_present(id_names) if id_names else None
    conclude = compile_conclusion(profile)

    def check(request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> Verified | Refused:
        usable = active(secrets, now)
        if not usable:
            return refuse(NO_SECRET, request)
        found = pick(request.headers)
        credential = read_credential(request, found) if found is not None else MALFORMED
        if found is None or isinstance(credential, Refused):
            return refuse(MALFORMED if isinstance(credential, bytes) else credential, request)
        shown = hashlib.sha256(credential).digest()
        matched: Secret | None = None
        for secret in usable:
            if hmac.compare_digest(shown, secret.key) and matched is None:
                matched = secret
        if matched is None:
            return refuse(MISMATCH, request)
        id_raw = read_id(found) if read_id is not None else None
        return conclude((request.body, [], None, id_raw), request.body, matched.id, now)

    return check


def _compile_credential(profile: Profile) -> tuple[tuple[str, ...], CredentialReader]:
    """This will return the headers to look at and the reader of the credential."""
    if profile.kind is Kind.BASIC:
        return ("authorization",), lambda _request, found: _basic(found.get(b"authorization"))
    if profile.url_secret is not None:
        return (), _url_reader(profile.url_secret.parameter, profile.limits.max_header_bytes)
    if profile.token is None:
        raise ValueError("a token profile has a token")
    names = (profile.token.header, *profile.token.aliases)
    return names, _token_reader(names, profile.token.prefix)


def _token_reader(names: Sequence[str], prefix: str) -> CredentialReader:
    read, head = first_present(names), prefix.encode()

    def token(_request: SignedRequest, found: Found) -> bytes | Refused:
        value = read(found)
        if value is None:
            return MISSING
        if not value.startswith(head) or len(value) == len(head):
            return MALFORMED
        return value[len(head) :]

    return token


def _basic(value: bytes | None) -> bytes | Refused:
    """Source: RFC 7617."""
    if value is None:
        return MISSING
    if not value.startswith(_BASIC):
        return MALFORMED
    encoded = value[len(_BASIC) :]
    try:
        credential = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return MALFORMED
    is_canonical = base64.b64encode(credential) == encoded
    return credential if is_canonical and b":" in credential else MALFORMED


def _url_reader(parameter: str, max_bytes: int) -> CredentialReader:
    head = parameter.encode() + b"="

    def from_query(request: SignedRequest, _found: Found) -> bytes | Refused:
        if len(request.query) > max_bytes:
            return MALFORMED
        values = [part[len(head) :] for part in request.query.split(b"&") if part.startswith(head)]
        if not values:
            return MISSING
        # Given twice, two readers could take two different ones.
        return values[0] if len(values) == 1 and values[0] else MALFORMED

    return from_query
