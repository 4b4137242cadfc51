"""The parts of a signature profile: what may be written in its YAML, checked field by field.

A profile is data, so that a sender is added without code; strict, so that a slip of the pen is an error and
not a weaker check. ``profile.py`` puts the parts together, ``compiler.py`` turns them into a function.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

HeaderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
Pointer = Annotated[str, StringConstraints(pattern=r"^(/([^/~]|~[01])*)+$", max_length=200)]
Separator = Annotated[str, StringConstraints(min_length=1, max_length=1, pattern=r"^[ ,;|&]$")]
ItemKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,20}$")]

MAX_SIGNATURES = 10
"""More items than this in one signature header are refused unread: each would cost a comparison."""


class Strict(BaseModel):
    """An unknown key or a wrong type is an error, never a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Kind(StrEnum):
    """How the sender proves who it is. The last three are known to the format and refused by the loader."""

    HMAC = "hmac"
    ED25519 = "ed25519"
    TOKEN = "token"  # noqa: S105 - a kind, not a credential
    BASIC = "basic"
    URL_SECRET = "url_secret"  # noqa: S105 - a kind, not a credential
    JWT = "jwt"
    MTLS = "mtls"
    PLUGIN = "plugin"


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
    aliases: tuple[HeaderName, ...] = ()
    format: SignatureFormat


class KeySpec(Strict):
    """How the secret's text becomes key bytes."""

    strip_prefix: str = Field("", max_length=20)
    decode: Literal["utf8", "base64", "hex"] = "utf8"


class TimestampSpec(Strict):
    """Where the sender's time stands, and how far off it may be. Only a signed time is judged."""

    header: HeaderName | None = None
    aliases: tuple[HeaderName, ...] = ()
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
    aliases: tuple[HeaderName, ...] = ()
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
    aliases: tuple[HeaderName, ...] = ()
    prefix: str = Field("", max_length=20)


class UrlSecretSpec(Strict):
    """The query parameter that holds the secret."""

    parameter: ItemKey


class Limits(Strict):
    """What the intake route accepts for this sender."""

    max_body_bytes: int = Field(1_048_576, ge=1024, le=26_214_400)
    max_header_bytes: int = Field(4096, ge=64, le=16_384)
    content_types: tuple[str, ...] = ("application/json",)
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
    method: str = "POST"
    path: str = "/in/source"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    body_b64: str | None = None
    secrets: tuple[str, ...] = Field(max_length=5)
    now: datetime
    expect: Literal["accept", "missing", "malformed", "mismatch", "skew", "no_secret"]

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
