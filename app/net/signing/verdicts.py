"""What goes into a verification and what comes out of it.

Tuples instead of frozen dataclasses: these are built for each request of the intake route, and a named
tuple costs a third of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import NamedTuple


class Strength(Enum):
    """How much a verified request proves, strongest first. Compare with ``at_least``."""

    SIGNED_FRESH = "signed_fresh"
    SIGNED = "signed"
    MTLS_JWT = "mtls_jwt"
    TOKEN = "token"  # noqa: S105 - a rank, not a credential
    URL_SECRET = "url_secret"  # noqa: S105 - a rank, not a credential
    NONE = "none"

    @property
    def rank(self) -> int:
        """0 is the strongest."""
        return list(Strength).index(self)

    def at_least(self, other: Strength) -> bool:
        """This will say whether ``self`` proves as much as ``other`` or more."""
        return self.rank <= other.rank


class RefusalReason(StrEnum):
    """Why a request was refused: for the tenant, audit and metrics only; the sender gets one uniform answer.

    Attributes:
        CLAIM: Somebody is named whom the source does not expect: issuer, audience, topic, certificate's subject.
        UNKNOWN_KEY: The key that is said to have signed is not among the published ones.
        UNTRUSTED: An address in the message, whom a certificate is made out to, or the place its header came from, is not to be
            believed.
        NOT_CONFIGURED: A setting of the installation is missing that this profile needs.
    """

    MISSING = "missing"
    MALFORMED = "malformed"
    MISMATCH = "mismatch"
    SKEW = "skew"
    NO_SECRET = "no_secret"  # noqa: S105 - a reason, not a credential
    CLAIM = "claim"
    UNKNOWN_KEY = "unknown_key"
    UNTRUSTED = "untrusted"
    NOT_CONFIGURED = "not_configured"


class SignedRequest(NamedTuple):
    """A request as it came in, nothing decoded.

    Attributes:
        method: Upper case.
        path: As on the wire, percent-encoding kept, without the query.
        query: As on the wire, without the question mark.
        headers: Raw pairs with lower-case names, duplicates kept, as in an ASGI scope.
        body: The raw bytes, before any decoding.
        origin: Scheme and host that senders reach us by, for schemes that sign the whole URL; empty where nobody said.
        certificate: What a trusted proxy says of the client's certificate (``certificates.py``); None where nobody looked.
    """

    method: str
    path: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    origin: str = ""
    certificate: ShownCertificate | None = None


class ShownCertificate(NamedTuple):
    """A client certificate as a proxy showed it, or the reason why there is none to believe."""

    der: bytes | None
    fault: RefusalReason | None = None


class Verified(NamedTuple):
    """The request is from somebody who knows the secret.

    Attributes:
        strength: What the profile proves.
        delivery_id: The sender's id of this delivery, if it gave a usable one.
        delivery_id_signed: False: anybody on the way could have changed the id; it is a label, not a key.
        timestamp: The sender's time, aware, if it gave one.
        replay_key: Equal for a request sent twice, whatever the spelling of its signature.
        replay_window: How long an equal ``replay_key`` means "the same delivery again".
        secret_id: Which of the source's secrets matched.
        challenge: Text to echo (Slack's ``url_verification``); None for an ordinary delivery.
        confirm_url: Address to call once, later, to confirm a subscription (SNS); None for an ordinary delivery.
    """

    strength: Strength
    delivery_id: str | None
    delivery_id_signed: bool
    timestamp: datetime | None
    replay_key: bytes
    replay_window: timedelta
    secret_id: str
    challenge: str | None = None
    confirm_url: str | None = None


class Refused(NamedTuple):
    """The request proves nothing. All reasons look the same from outside."""

    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class Secret:
    """One of a source's secrets, ready for use; built by ``load_secret``.

    Attributes:
        id: What ``Verified.secret_id`` names.
        key: The decoded key, the digest of a token, or the text of a pin.
        expires_at: End of the overlap after a rotation; None for the current secret.
        pins: Of a JWT profile: what its ``{pin:...}`` stand for at this source.
    """

    id: str
    key: bytes = field(repr=False)
    expires_at: datetime | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
