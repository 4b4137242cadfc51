"""A signature profile as a whole: the parts of ``format.py`` and the rules that hold between them."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from app.core.errors import Invalid
from app.net.signing.format import (
    DeliveryIdSpec,
    JwtSpec,
    KeySpec,
    KeyValueFormat,
    Kind,
    Limits,
    Responses,
    SenderSpec,
    SignatureSpec,
    Strict,
    TimestampSpec,
    TokenSpec,
    UrlSecretSpec,
    Vector,
)
from app.net.signing.template import DELIVERY_ID, TIMESTAMP, SignedTemplate, TemplateError, parse_template
from app.net.signing.verdicts import Strength

SHORT_REPLAY_WINDOW = timedelta(minutes=10)
"""For senders without a signed time or id: identical bytes within it are a retry, after it a new event."""

LONG_REPLAY_WINDOW = timedelta(days=3)
"""As long as the most patient senders retry (Stripe retries, GitHub redelivers, for three days)."""

SIGNING_KINDS = frozenset({Kind.HMAC, Kind.ED25519})
PINNED_KINDS = frozenset({Kind.JWT, Kind.MTLS})
"""Kinds whose source holds no secret of ours but the name of whom it believes."""

DIGESTED_KINDS = frozenset({Kind.TOKEN, Kind.BASIC, Kind.URL_SECRET})
_STRENGTH_BY_KIND = {
    Kind.TOKEN: Strength.TOKEN,
    Kind.BASIC: Strength.TOKEN,
    Kind.URL_SECRET: Strength.URL_SECRET,
    Kind.JWT: Strength.MTLS_JWT,
    Kind.MTLS: Strength.MTLS_JWT,
}


class InvalidProfile(Invalid):
    """The profile does not load: it is malformed, weak, ambiguous, or fails its own vectors."""

    code = "signing.invalid_profile"
    title = "The signature profile cannot be used"


class Profile(Strict):
    """Everything that is known about how one sender authenticates its requests."""

    slug: str = Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")
    title: str = Field(min_length=1, max_length=100)
    source: str = Field(min_length=1, max_length=300, description="Where the scheme is specified, with the date read.")
    kind: Kind = Field(strict=False)
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256"
    legacy: bool = Field(False, description="Must be true to accept SHA-1.")
    signature: SignatureSpec | None = None
    encoding: Literal["hex", "base64", "base64url"] = "hex"
    key: KeySpec = KeySpec()
    signed: str | None = Field(None, max_length=300, description="Template of the signed bytes.")
    timestamp: TimestampSpec | None = None
    delivery_id: DeliveryIdSpec | None = None
    token: TokenSpec | None = None
    url_secret: UrlSecretSpec | None = None
    jwt: JwtSpec | None = None
    plugin: Literal["sns", "twilio"] | None = None
    senders: tuple[SenderSpec, ...] = Field((), max_length=40)
    handshake: Literal["none", "slack_url_verification", "sns_confirm"] = "none"
    replay_window_s: int | None = Field(None, ge=60, le=2_592_000, description="Overrides the derived replay window.")
    limits: Limits = Limits()
    responses: Responses = Responses()
    vectors: tuple[Vector, ...] = ()

    @model_validator(mode="after")
    def _kind_has_its_parts(self) -> Self:
        needed = {
            Kind.TOKEN: {"token"},
            Kind.URL_SECRET: {"url_secret"},
            Kind.HMAC: {"signature", "signed"},
            Kind.ED25519: {"signature", "signed"},
            Kind.PLUGIN: {"plugin"},
            Kind.JWT: {"token", "jwt"},
        }.get(self.kind, set())
        for name in ("signature", "signed", "token", "url_secret", "plugin", "jwt"):
            given = getattr(self, name) is not None
            if given != (name in needed):
                raise ValueError(f"kind {self.kind.value} {'has no' if given else 'needs'} {name!r}")
        if self.kind not in SIGNING_KINDS and self.plugin != "sns" and (self.timestamp or self.handshake != "none"):
            raise ValueError(f"kind {self.kind.value} proves nothing about a timestamp or a handshake")
        if (self.handshake == "sns_confirm") != (self.plugin == "sns"):
            raise ValueError("the handshake sns_confirm goes with the plug-in sns")
        if self.algorithm == "sha1" and not self.legacy:
            raise ValueError("sha1 needs legacy: true")
        return self

    @model_validator(mode="after")
    def _signed_parts_have_a_place(self) -> Self:
        if self.signed is None:
            return self
        template = self.template
        self._check_timestamp(in_template=TIMESTAMP in template.variables)
        self._check_delivery_id(in_template=DELIVERY_ID in template.variables)
        return self

    def _check_timestamp(self, *, in_template: bool) -> None:
        spec = self.timestamp
        if spec is None:
            if in_template:
                raise ValueError("{timestamp} is signed, but no place for it is given")
            return
        if in_template and spec.json_pointer is not None:
            raise ValueError("a timestamp inside the body is signed with it; it cannot be {timestamp} too")
        if spec.signed != (in_template or spec.json_pointer is not None):
            raise ValueError("timestamp.signed must say whether the signature covers it")
        has_kv = (
            self.signature is not None
            and isinstance(self.signature.format, KeyValueFormat)
            and self.signature.format.timestamp_key is not None
        )
        if spec.kv != has_kv:
            raise ValueError("timestamp.kv goes with signature.format.timestamp_key")

    def _check_delivery_id(self, *, in_template: bool) -> None:
        spec = self.delivery_id
        if spec is None:
            if in_template:
                raise ValueError("{id} is signed, but no place for it is given")
            return
        if in_template and spec.header is None:
            raise ValueError("an id inside the body is signed with it; it cannot be {id} too")
        if spec.signed != (in_template or spec.json_pointer is not None):
            raise ValueError("delivery_id.signed must say whether the signature covers it")

    @model_validator(mode="after")
    def _unsigned_kinds_sign_nothing(self) -> Self:
        signs = self.kind in SIGNING_KINDS or self.kind is Kind.PLUGIN
        if not signs and self.delivery_id is not None and self.delivery_id.signed:
            raise ValueError(f"kind {self.kind.value} signs nothing, so not the delivery id")
        return self

    @property
    def template(self) -> SignedTemplate:
        """This will parse ``signed``.

        Raises:
            ValueError: There is no template, or it is ambiguous.
        """
        if self.signed is None:
            raise TemplateError(f"kind {self.kind.value} signs nothing")
        iso = self.timestamp is not None and self.timestamp.format == "iso8601"
        return parse_template(self.signed, self_delimiting=frozenset({TIMESTAMP}) if iso else frozenset())

    @property
    def strength(self) -> Strength:
        """What a request that verifies under this profile proves."""
        if self.kind in SIGNING_KINDS or self.kind is Kind.PLUGIN:
            fresh = self.timestamp is not None and self.timestamp.signed
            return Strength.SIGNED_FRESH if fresh else Strength.SIGNED
        return _STRENGTH_BY_KIND.get(self.kind, Strength.NONE)

    @property
    def is_pinned(self) -> bool:
        """True: the source's "secret" names whom to believe; it is no secret, and only the tenant knows it."""
        return self.kind in PINNED_KINDS or self.plugin == "sns"

    @property
    def keys_replay_by_id(self) -> bool:
        """True: the sender's id is signed and the same on each retry, so it identifies the delivery."""
        return self.delivery_id is not None and self.delivery_id.signed and self.delivery_id.stable_on_retry

    @property
    def replay_window(self) -> timedelta:
        """How long an equal replay key means the same delivery; at least twice the tolerance of the timestamp."""
        if self.strength is not Strength.SIGNED_FRESH and not self.keys_replay_by_id:
            return self.byte_replay_window
        return self._long_window

    @property
    def byte_replay_window(self) -> timedelta:
        """The same where a delivery is known by its bytes alone, because its body holds no id."""
        if self.replay_window_s is not None or self.strength is Strength.SIGNED_FRESH:
            return self._long_window
        return SHORT_REPLAY_WINDOW

    @property
    def _long_window(self) -> timedelta:
        if self.replay_window_s is not None:
            return timedelta(seconds=self.replay_window_s)
        tolerance = self.timestamp.past_s + self.timestamp.future_s if self.timestamp is not None else 0
        return max(LONG_REPLAY_WINDOW, 2 * timedelta(seconds=tolerance))


def parse_profile(data: object) -> Profile:
    """This will check ``data`` (as read from YAML) and return the profile it describes.

    Raises:
        InvalidProfile: Unknown keys, parts that do not fit together, or one that is no mapping.
    """
    try:
        profile = Profile.model_validate(_lists_to_tuples(data))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InvalidProfile(f"the profile is not valid: {problems}") from None
    return profile


def _lists_to_tuples(value: object) -> object:
    """YAML knows lists only; the strict, frozen models hold tuples."""
    if isinstance(value, list):
        return tuple(_lists_to_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _lists_to_tuples(item) for key, item in value.items()}
    return value
