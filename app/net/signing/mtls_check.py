"""The kinds mtls and none: a certificate that a trusted proxy shows, and no proof at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from app.net.signing.certificates import Certificate
from app.net.signing.checks import (
    CLAIM,
    MALFORMED,
    NO_SECRET,
    NOT_CONFIGURED,
    SKEW,
    Check,
    active,
    refuse,
)
from app.net.signing.conclusion import Conclude, compile_conclusion
from app.net.signing.fields import HeaderReader, compile_picker, first_present
from app.net.signing.profile import Profile
from app.net.signing.verdicts import Refused, Secret, SignedRequest, Verified

CONSENT: Final = "accept-unverified-deliveries"
"""What is kept in a secret's place at a source that takes anything: without it, it takes nothing."""


def compile_mtls_check(profile: Profile) -> Check:
    """This will return the check of a certificate's names against the source's pins."""
    finish = _Finish(profile)

    def check(request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> Verified | Refused:
        usable = active(secrets, now)
        if not usable:
            return refuse(NO_SECRET, request)
        certificate = _shown(request)
        if isinstance(certificate, Refused):
            return refuse(certificate, request)
        if not certificate.is_valid_at(now):
            return refuse(SKEW, request)
        for secret in usable:
            if secret.key.decode("utf-8", "replace") in certificate.names:
                return finish(request, secret, now)
        return refuse(CLAIM, request)

    return check


def compile_open_check(profile: Profile) -> Check:
    """This will return the check that takes everything, at a source whose tenant has agreed to it."""
    finish = _Finish(profile)

    def check(request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> Verified | Refused:
        agreed = [secret for secret in active(secrets, now) if secret.key == CONSENT.encode()]
        return finish(request, agreed[0], now) if agreed else refuse(NO_SECRET, request)

    return check


def _shown(request: SignedRequest) -> Certificate | Refused:
    shown = request.certificate
    if shown is None:
        return NOT_CONFIGURED
    if shown.der is None:
        return Refused(shown.fault) if shown.fault is not None else MALFORMED
    try:
        return Certificate(shown.der)
    except ValueError:
        return MALFORMED


class _Finish:
    """From somebody believed to the verdict: the bytes identify the delivery."""

    def __init__(self, profile: Profile) -> None:
        spec = profile.delivery_id
        names = (spec.header, *spec.aliases) if spec is not None and spec.header is not None else ()
        self._pick = compile_picker(names, profile.limits.max_header_bytes)
        self._read: HeaderReader | None = first_present(names) if names else None
        self._conclude: Conclude = compile_conclusion(profile)

    def __call__(self, request: SignedRequest, secret: Secret, now: datetime) -> Verified | Refused:
        found = self._pick(request.headers) or {}
        id_raw = self._read(found) if self._read is not None else None
        return self._conclude((request.body, [], None, id_raw), request.body, secret.id, now)
