"""The parts of a signature profile: what may be written in its YAML, checked field by field.

A profile is data, so that a sender is added without code; strict, so that a slip of the pen is an error and
not a weaker check. ``profile.py`` puts the parts together, ``compiler.py`` turns them into a function.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

HeaderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
Pointer = Annotated[str, StringConstraints(pattern=r"^(/([^/~]|~[01])*)+$", max_length=200)]
Separator = Annotated[str, StringConstraints(min_length=1, max_length=1, pattern=r"^[ ,;|&]$")]
ContentType = Annotated[str, StringConstraints(pattern=r"^[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}$")]
Verdict = Literal[
    "accept",
    "missing",
    "malformed",
    "mismatch",
    "skew",
    "no_secret",
    "claim",
    "unknown_key",
    "untrusted",
    "not_configured",
]
ClaimName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_:/.-]{1,100}$")]
ItemKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,20}$")]

_PIN = re.compile(r"\{pin:([a-z][a-z0-9_]{0,30})\}")
MAX_SIGNATURES = 10
"""More items than this in one signature header are refused unread: each would cost a comparison."""


class Strict(BaseModel):
    """An unknown key or a wrong type is an error, never a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Kind(StrEnum):
    """How the sender proves who it is. A plug-in is code of ours that only shipped profiles can name."""

    HMAC = "hmac"
    ED25519 = "ed25519"
    TOKEN = "token"  # noqa: S105 - a kind, not a credential
    BASIC = "basic"
    URL_SECRET = "url_secret"  # noqa: S105 - a kind, not a credential
    JWT = "jwt"
    MTLS = "mtls"
    PLUGIN = "plugin"
    NONE = "none"


class WholeFormat(Strict):
    """The header is the signature and nothing else."""

    type: Literal["whole"]


class PrefixFormat(Strict):
    """A fixed prefix, then the signature: ``sha256=...``."""

    type: Literal["prefix"]
    prefix: str = Field(min_length=1, max_length=20)


class ListFormat(Strict):
    """Several versioned signatures: ``v1,... v1,...`` or ``v1=...,v1=...``. Other versions are ignored."""

    type: Literal["list"]
    separator: Separator
    item: Literal["{version},{signature}", "{version}={signature}"]
    version: ItemKey

    @model_validator(mode="after")
    def _separators_differ(self) -> Self:
        if self.separator == self.joiner:
            raise ValueError("the separator of items cannot be the one inside an item")
        return self

    @property
    def joiner(self) -> str:
        return self.item[len("{version}")]


class KeyValueFormat(Strict):
    """Key and value pairs with the timestamp among them: ``t=...,v1=...,v1=...``."""

    type: Literal["kv"]
    separator: Separator
    timestamp_key: ItemKey | None = None
    signature_key: ItemKey


SignatureFormat = Annotated[
    WholeFormat | PrefixFormat | ListFormat | KeyValueFormat,
    Field(discriminator="type"),
]


class SignatureSpec(Strict):
    """Where the signature stands. The first header that is present wins; a header sent twice is refused."""

    header: HeaderName
    aliases: tuple[HeaderName, ...] = Field((), max_length=5)
    format: SignatureFormat


class KeySpec(Strict):
    """How the secret's text becomes key bytes."""

    strip_prefix: str = Field("", max_length=20)
    decode: Literal["utf8", "base64", "hex"] = "utf8"


class TimestampSpec(Strict):
    """Where the sender's time stands, and how far off it may be. Only a signed time is judged."""

    header: HeaderName | None = None
    aliases: tuple[HeaderName, ...] = Field((), max_length=5)
    kv: bool = False
    json_pointer: Pointer | None = None
    format: Literal["unix_s", "unix_ms", "iso8601"]
    signed: bool
    past_s: int = Field(300, ge=1, le=86_400)
    future_s: int = Field(300, ge=1, le=86_400)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum((self.header is not None, self.kv, self.json_pointer is not None)) != 1:
            raise ValueError("a timestamp comes from exactly one of header, kv, json_pointer")
        return self


class DeliveryIdSpec(Strict):
    """Where the sender's id of the delivery stands."""

    header: HeaderName | None = None
    aliases: tuple[HeaderName, ...] = Field((), max_length=5)
    json_pointer: Pointer | None = None
    signed: bool
    stable_on_retry: bool

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.header is None) == (self.json_pointer is None):
            raise ValueError("a delivery id comes from exactly one of header, json_pointer")
        return self


class TokenSpec(Strict):
    """The header that holds the token, after an optional prefix such as ``Bearer ``."""

    header: HeaderName
    aliases: tuple[HeaderName, ...] = Field((), max_length=5)
    prefix: str = Field("", max_length=20)


class UrlSecretSpec(Strict):
    """The query parameter that holds the secret."""

    parameter: ItemKey


class JwtSpec(Strict):
    """A signed token: who issues it, for whom, with which keys and claims; ``{pin:NAME}`` is filled in by each source.

    Source: RFC 7519; RFC 8725 (one algorithm, checked against the key).
    """

    algorithms: tuple[Literal["RS256", "ES256"], ...] = Field(("RS256",), min_length=1, max_length=2)
    issuer: str = Field(min_length=1, max_length=200)
    audience: str = Field(min_length=1, max_length=200)
    jwks_url: str = Field(min_length=9, max_length=300, pattern=r"^https://[^{}?#@\s]+/[^?#@\s]*$")
    claims: dict[ClaimName, str | bool] = Field(default_factory=dict, max_length=10)
    leeway_s: int = Field(60, ge=0, le=300)

    @model_validator(mode="after")
    def _pins_are_names(self) -> Self:
        texts = [self.issuer, self.audience, self.jwks_url, *(v for v in self.claims.values() if isinstance(v, str))]
        if any("{" in _PIN.sub("", text) or "}" in _PIN.sub("", text) for text in texts):
            raise ValueError("braces hold {pin:name} and nothing else")
        if _PIN.search(self.audience) is None:
            raise ValueError("the audience must hold a {pin:...}: what one source is told proves nothing at another")
        return self

    @property
    def pins(self) -> frozenset[str]:
        """The names that a source fills in."""
        texts = [self.issuer, self.audience, self.jwks_url, *(v for v in self.claims.values() if isinstance(v, str))]
        return frozenset(name for text in texts for name in _PIN.findall(text))

    @staticmethod
    def fill(text: str, pins: Mapping[str, str]) -> str:
        """This will put the source's values into ``text``."""
        return _PIN.sub(lambda found: pins.get(found[1], ""), text)


class SenderSpec(Strict):
    """A product that authenticates like this, and what to do there, in a sentence."""

    name: str = Field(min_length=1, max_length=80)
    setup: str = Field(min_length=1, max_length=500)


class Limits(Strict):
    """What the intake route accepts for this sender."""

    max_body_bytes: int = Field(1_048_576, ge=1024, le=26_214_400)
    max_header_bytes: int = Field(4096, ge=64, le=16_384)
    content_types: tuple[ContentType, ...] = Field(("application/json",), max_length=20)
    content_encodings: tuple[Literal["identity", "gzip"], ...] = ("identity",)


class Responses(Strict):
    """Statuses this sender understands; 503 rather than 429, which Alertmanager takes for good."""

    ok: Literal[200, 202] = 202
    overload: Literal[429, 503] = 503
    unauthorised: Literal[401] = 401
    gone: Literal[404, 410] = 410


class Vector(Strict):
    """One request with its verdict. ``expect`` is ``accept`` or the reason of the refusal."""

    name: str = Field(min_length=1, max_length=120)
    method: str = Field("POST", max_length=20)
    path: str = Field("/in/source", max_length=500)
    query: str = Field("", max_length=2000)
    origin: str = Field("", max_length=200, description="Scheme and host of the URL, where it is signed.")
    headers: tuple[tuple[str, str], ...] = Field((), max_length=50)
    certificate: str | None = Field(None, max_length=8192, description="PEM that a trusted proxy shows.")
    remote: dict[str, str] = Field(default_factory=dict, max_length=3, description="What addresses would answer.")
    body: str | None = None
    body_b64: str | None = None
    secrets: tuple[str, ...] = Field(max_length=5)
    now: datetime = Field(strict=False)
    expect: Verdict

    @field_validator("now")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("the time of a vector needs a zone")
        return value

    @property
    def body_bytes(self) -> bytes:
        if self.body_b64 is not None:
            return base64.b64decode(self.body_b64, validate=True)
        return (self.body or "").encode()

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and self.body_b64 is not None:
            raise ValueError("a vector has body or body_b64, not both")
        try:
            _ = self.body_bytes
        except binascii.Error:
            raise ValueError("body_b64 is not base64") from None
        return self
