"""Profiles as functions: everything that can be decided once is decided here, not per request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from app.net.signing.checks import MISMATCH, CompiledProfile, refuse
from app.net.signing.format import Vector
from app.net.signing.keys import load_secret, stored_form
from app.net.signing.profile import SIGNING_KINDS, InvalidProfile, Profile
from app.net.signing.signed_check import compile_signed_check
from app.net.signing.token_check import compile_token_check
from app.net.signing.verdicts import Refused, Secret, SignedRequest, Verified

MIN_REFUSED_VECTORS: Final = 3


def verify(
    profile: CompiledProfile, request: SignedRequest, secrets: Sequence[Secret], now: datetime
) -> Verified | Refused:
    """This will say whether ``request`` comes from somebody who knows one of ``secrets``.

    It never raises, whatever the request holds, and a refusal takes as long as a comparison. Without a
    usable secret everything is refused.
    """
    return profile.check(request, secrets, now)


def dummy_verify(request: SignedRequest) -> Refused:
    """This will refuse a request for a source that does not exist, at the price of a real verification."""
    return refuse(MISMATCH, request)


def compile_profile(profile: Profile) -> CompiledProfile:
    """This will compile ``profile`` and run its vectors.

    Raises:
        InvalidProfile: Too few vectors, or one that has another verdict than it names.
    """
    check = compile_signed_check(profile) if profile.kind in SIGNING_KINDS else compile_token_check(profile)
    compiled = CompiledProfile(profile, check)
    _prove(compiled)
    return compiled


def _prove(compiled: CompiledProfile) -> None:
    vectors = compiled.profile.vectors
    accepted = sum(vector.expect == "accept" for vector in vectors)
    if accepted < 1 or len(vectors) - accepted < MIN_REFUSED_VECTORS:
        raise InvalidProfile(
            f"profile {compiled.slug!r} needs a vector that is accepted and {MIN_REFUSED_VECTORS} that are refused"
        )
    for vector in vectors:
        verdict = judge_vector(compiled, vector)
        if verdict != vector.expect:
            raise InvalidProfile(
                f"profile {compiled.slug!r}: vector {vector.name!r} gives {verdict}, not {vector.expect}"
            )


def judge_vector(compiled: CompiledProfile, vector: Vector) -> str:
    """This will return ``accept`` or the reason of the refusal."""
    request = SignedRequest(
        vector.method,
        vector.path,
        vector.query.encode(),
        [(name.lower().encode(), value.encode()) for name, value in vector.headers],
        vector.body_bytes,
    )
    secrets = [
        load_secret(compiled, stored_form(compiled, text), secret_id=str(index))
        for index, text in enumerate(vector.secrets)
    ]
    verdict = verify(compiled, request, secrets, vector.now)
    return verdict.reason.value if isinstance(verdict, Refused) else "accept"
