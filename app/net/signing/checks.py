"""What all kinds share: the shape of a check, the refusals, and the work that a refusal must cost."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from app.net.signing.format import Kind, Limits, Responses
from app.net.signing.profile import Profile
from app.net.signing.verdicts import RefusalReason, Refused, Secret, SignedRequest, Strength, Verified

Check = Callable[[SignedRequest, Sequence[Secret], datetime], Verified | Refused]

MISSING: Final = Refused(RefusalReason.MISSING)
MALFORMED: Final = Refused(RefusalReason.MALFORMED)
MISMATCH: Final = Refused(RefusalReason.MISMATCH)
SKEW: Final = Refused(RefusalReason.SKEW)
NO_SECRET: Final = Refused(RefusalReason.NO_SECRET)

MAX_ACTIVE: Final = 2
"""Secrets of a source that hold at once: the current one and, in its overlap, the previous; a rotation ends older ones."""

_NOBODYS_KEY: Final = secrets.token_bytes(32)
_NOBODYS_SIGNATURE: Final = bytes(64)


@dataclass(frozen=True, slots=True)
class CompiledProfile:
    """A profile that proved itself on its vectors, with its check."""

    profile: Profile
    check: Check = field(repr=False)

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
