"""Profiles as functions: everything that can be decided once is decided here, not per request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from app.net.signing.certificates import pem_to_der
from app.net.signing.checks import MISMATCH, Check, CompiledProfile, Held, Wanted, refuse, refuse_curve
from app.net.signing.format import Kind, Vector
from app.net.signing.jwt_check import JwtCheck
from app.net.signing.key_sets import KeySet, UnreadableKeys, read_document
from app.net.signing.keys import InvalidSecret, load_secret, stored_form
from app.net.signing.mtls_check import compile_mtls_check, compile_open_check
from app.net.signing.plugins.sns import SnsCheck
from app.net.signing.plugins.twilio import compile_twilio_check
from app.net.signing.profile import SIGNING_KINDS, InvalidProfile, Profile
from app.net.signing.signed_check import compile_signed_check
from app.net.signing.token_check import compile_token_check
from app.net.signing.verdicts import Refused, Secret, ShownCertificate, SignedRequest, Verified

MIN_REFUSED_VECTORS: Final = 3


def verify(
    profile: CompiledProfile, request: SignedRequest, secrets: Sequence[Secret], now: datetime
) -> Verified | Refused:
    """This will say whether ``request`` comes from somebody who knows one of ``secrets``.

    It never raises, whatever the request holds, and a refusal takes as long as a comparison. Without a
    usable secret everything is refused.
    """
    return profile.check(request, secrets, now)


def dummy_verify(request: SignedRequest, *, on_curve: bool = False) -> Refused:
    """This will refuse a request for a source that does not exist, at the price of a real verification.

    Args:
        on_curve: At the price of an Ed25519 source's.
    """
    return refuse_curve(MISMATCH, request) if on_curve else refuse(MISMATCH, request)


def compile_profile(profile: Profile) -> CompiledProfile:
    """This will compile ``profile`` and run its vectors.

    Raises:
        InvalidProfile: Too few vectors, or one that has another verdict than it names.
    """
    compiled = _compile(profile)
    _prove(compiled)
    return compiled


def _compile(profile: Profile) -> CompiledProfile:
    remote = JwtCheck(profile) if profile.kind is Kind.JWT else SnsCheck(profile) if profile.plugin == "sns" else None
    if remote is not None:
        return CompiledProfile(profile, remote.check, remote)
    compilers: dict[Kind, Callable[[Profile], Check]] = {
        **dict.fromkeys(SIGNING_KINDS, compile_signed_check),
        Kind.PLUGIN: compile_twilio_check,
        Kind.MTLS: compile_mtls_check,
        Kind.NONE: compile_open_check,
    }
    return CompiledProfile(profile, compilers.get(profile.kind, compile_token_check)(profile))


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
    """This will return ``accept`` or the reason of the refusal.

    Raises:
        InvalidProfile: The vector's secret or one of its documents cannot be used at all.
    """
    try:
        secrets = [
            load_secret(compiled, stored_form(compiled, text), secret_id=str(index))
            for index, text in enumerate(vector.secrets)
        ]
    except InvalidSecret as error:
        raise InvalidProfile(f"vector {vector.name!r}: {error.detail}") from None
    request = _request_of(vector)
    if compiled.remote is None:
        verdict = verify(compiled, request, secrets, vector.now)
    else:
        wanted = compiled.remote.wants(request, secrets, vector.now)
        verdict = compiled.remote.judge(request, secrets, vector.now, _held(vector, wanted))
    return verdict.reason.value if isinstance(verdict, Refused) else "accept"


def _request_of(vector: Vector) -> SignedRequest:
    return SignedRequest(
        vector.method,
        vector.path,
        vector.query.encode(),
        [(name.lower().encode(), value.encode()) for name, value in vector.headers],
        vector.body_bytes,
        vector.origin,
        ShownCertificate(pem_to_der(vector.certificate)) if vector.certificate is not None else None,
    )


def _held(vector: Vector, wanted: Sequence[Wanted]) -> Held:
    """This will read the documents that the vector says are published; one that cannot be read is not there."""
    held: dict[str, KeySet] = {}
    for want in wanted:
        if want.url in vector.remote:
            try:
                held[want.url] = read_document(want.document, vector.remote[want.url].encode())
            except UnreadableKeys:
                continue
    return held
