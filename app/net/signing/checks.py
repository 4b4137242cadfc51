"""What all kinds share: the shape of a check, the refusals, and the work that a refusal must cost."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from app.net.signing import curve
from app.net.signing.format import Kind, Limits, Responses
from app.net.signing.key_sets import Document, KeySet
from app.net.signing.profile import Profile
from app.net.signing.verdicts import RefusalReason, Refused, Secret, SignedRequest, Strength, Verified

Check = Callable[[SignedRequest, Sequence[Secret], datetime], Verified | Refused]

MISSING: Final = Refused(RefusalReason.MISSING)
MALFORMED: Final = Refused(RefusalReason.MALFORMED)
MISMATCH: Final = Refused(RefusalReason.MISMATCH)
SKEW: Final = Refused(RefusalReason.SKEW)
NO_SECRET: Final = Refused(RefusalReason.NO_SECRET)
CLAIM: Final = Refused(RefusalReason.CLAIM)
UNKNOWN_KEY: Final = Refused(RefusalReason.UNKNOWN_KEY)
UNTRUSTED: Final = Refused(RefusalReason.UNTRUSTED)
NOT_CONFIGURED: Final = Refused(RefusalReason.NOT_CONFIGURED)

MAX_ACTIVE: Final = 5
"""Secrets of a source that hold at once. Each refusal costs as much as trying all of them, so they are few."""

MAX_CURVE_ACTIVE: Final = 2
"""The same of an Ed25519 source: what a rotation needs, for each key costs a tenth of a millisecond a signature."""

MAX_CURVE_SIGNATURES: Final = 2
"""Ed25519 signatures of one request that are tried: as many as a rotation needs, for each costs a tenth of a millisecond."""

CURVE_TRIES: Final = MAX_CURVE_ACTIVE * MAX_CURVE_SIGNATURES

_SHARED_KINDS: Final = frozenset({Kind.HMAC, Kind.TOKEN, Kind.BASIC, Kind.URL_SECRET})
_NOBODYS_KEY: Final = secrets.token_bytes(32)
_NOBODYS_SIGNATURE: Final = bytes(64)


class Wanted(NamedTuple):
    """A published document that a verification needs, and the key in it."""

    url: str
    document: Document
    key_id: str


Held = Mapping[str, KeySet]
"""Published keys by the address of their document."""


class RemoteCheck(Protocol):
    """A check in two steps: what it wants to be fetched, and the verdict with what was."""

    def wants(self, request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> tuple[Wanted, ...]:
        """This will name the documents; none for a request that will be refused in any case."""
        ...

    def judge(self, request: SignedRequest, secrets: Sequence[Secret], now: datetime, held: Held) -> Verified | Refused:
        """This will say whether the request verifies with the keys in ``held``."""
        ...


@dataclass(frozen=True, slots=True)
class CompiledProfile:
    """A profile that proved itself on its vectors, with its check.

    Attributes:
        check: The verdict from the request alone; where ``remote`` is set, with no published key at hand.
        remote: Set for the kinds whose keys are published elsewhere.
    """

    profile: Profile
    check: Check = field(repr=False)
    remote: RemoteCheck | None = field(default=None, repr=False)

    @property
    def hands_out_secret(self) -> bool:
        """True: what a source holds is a secret that its sender must be given; else it came from there, or is none."""
        return self.profile.kind in _SHARED_KINDS

    @property
    def most_secrets(self) -> int:
        """How many secrets of a source may hold at once."""
        return MAX_CURVE_ACTIVE if self.profile.kind is Kind.ED25519 else MAX_ACTIVE

    @property
    def is_local(self) -> bool:
        """True: the request as the server gives it is all that a verdict needs."""
        return self.remote is None and self.profile.kind is not Kind.MTLS

    @property
    def slug(self) -> str:
        return self.profile.slug

    @property
    def kind(self) -> Kind:
        return self.profile.kind

    @property
    def strength(self) -> Strength:
        return self.profile.strength

    @property
    def limits(self) -> Limits:
        return self.profile.limits

    @property
    def responses(self) -> Responses:
        return self.profile.responses


def active(candidates: Sequence[Secret], now: datetime) -> list[Secret]:
    """This will return the secrets whose overlap has not ended."""
    return [secret for secret in candidates if secret.expires_at is None or now < secret.expires_at]


def refuse(refusal: Refused, request: SignedRequest, *, spent: int = 0) -> Refused:
    """This will refuse at the price of having tried as many keys as a source can have.

    Without it, an unknown source, a missing header, a wrong signature and a rotation under way would answer at different
    speeds, and the difference grows with the body.

    Args:
        spent: Keys that the check has tried already.
    """
    for _ in range(MAX_ACTIVE - spent):
        digest = hmac.digest(_NOBODYS_KEY, request.body, "sha256")
        hmac.compare_digest(digest.hex().encode(), _NOBODYS_SIGNATURE)
    return refusal


def refuse_curve(refusal: Refused, request: SignedRequest, *, spent: int = 0) -> Refused:
    """This will refuse as ``refuse`` does, at the price of a whole Ed25519 source.

    Args:
        spent: Operations on the curve that the check has done already.
    """
    for _ in range(CURVE_TRIES - spent):
        curve.try_in_vain(request.body)
    return refuse(refusal, request)
