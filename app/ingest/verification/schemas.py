"""What the endpoints about profiles and refusals take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.ingest.schemas import RefusalView
from app.net.signing.checks import MAX_ACTIVE

MAX_BODY_CHARS = 350_000


class SenderView(BaseModel):
    """A product that can authenticate like this."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    setup: str = Field(description="What to do at the sender, in a sentence.")


class SignatureProfileView(BaseModel):
    """A way for senders to prove who they are."""

    slug: str
    title: str
    kind: str
    strength: str = Field(
        description="signed_fresh, signed, mtls_jwt, token, url_secret or none; the first is the best."
    )
    rank: int = Field(description="Of the strength: 0 is the best.")
    specification: str = Field(description="Where the scheme is written down, with the date read.")
    secret: str = Field(description="What a source of this profile holds as its secret.")
    expects: list[str] = Field(description="What a request must carry.")
    senders: list[SenderView]


class SignatureProfiles(BaseModel):
    """The shipped profiles, strongest first."""

    items: list[SignatureProfileView]


class SignatureProfileDetail(SignatureProfileView):
    """The same with the document itself, as a start for one of your own."""

    document: dict[str, Any]


class CapturedRequest(BaseModel):
    """A request as the sender sent it."""

    model_config = ConfigDict(extra="forbid")

    method: str = Field("POST", max_length=20)
    path: str = Field("/in/source", max_length=2000, description="With the query, if there is one.")
    headers: list[tuple[str, str]] = Field(
        default_factory=list, max_length=100, description="Pairs of name and value, or an object of them."
    )
    body: str | None = Field(None, max_length=MAX_BODY_CHARS)
    body_b64: str | None = Field(
        None, max_length=MAX_BODY_CHARS, description="The body's bytes, where they are no text."
    )
    origin: str | None = Field(
        None, max_length=300, description="Scheme and host of the URL, where it is signed; ours by default."
    )
    certificate: str | None = Field(
        None, max_length=16_384, description="The client's certificate as PEM, as the proxy would hand it on."
    )

    @field_validator("headers", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        return list(value.items()) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and self.body_b64 is not None:
            raise ValueError("give body or body_b64, not both")
        return self


class PreviewVerification(BaseModel):
    """A profile, a secret and a request, to see whether they fit; nothing is stored."""

    model_config = ConfigDict(extra="forbid")

    profile: str | dict[str, Any] = Field(description="The slug of a shipped profile, or a document of your own.")
    secrets: list[str] = Field(
        default_factory=list,
        max_length=MAX_ACTIVE,
        description="As the source would hold them, the newest first.",
    )
    request: CapturedRequest
    now: datetime | None = Field(None, description="When the request came, with a zone; the present by default.")

    @field_validator("now")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("the time needs a zone")
        return value


class SignedBytesView(BaseModel):
    """What the signature covers."""

    model_config = ConfigDict(from_attributes=True)

    text: str = Field(description="Printable ASCII as it is, the rest as \\xNN; the first 2,000 bytes.")
    size_bytes: int
    sha256: str
    is_cut: bool


class VerificationPreview(BaseModel):
    """Whether the request would be taken, and if not, why."""

    verified: bool
    reason: str | None = Field(description="Reason code; null where the request verifies. The sender never sees it.")
    explanation: str
    strength: str = Field(description="What a request that verifies with this profile proves.")
    delivery_id: str | None = None
    sent_at: datetime | None = Field(None, description="The sender's time, where it gave one.")
    signed: SignedBytesView | None = Field(
        None, description="Null where nothing is signed, or a part of it is missing."
    )
    expects: list[str] = Field(description="The shape of what must be sent; never the right signature.")


class SetProfile(BaseModel):
    """How a source's sender proves itself from now on."""

    model_config = ConfigDict(extra="forbid")

    profile: str | dict[str, Any] = Field(description="The slug of a shipped profile, or a document of your own.")
    secret: str | None = Field(
        None, max_length=1024, description="Yours, or what the sender gave you; without it one is made."
    )


class SourceProfileView(BaseModel):
    """How a source's sender proves itself."""

    profile: str
    strength: str
    rank: int
    secret: str = Field(description="What the source holds as its secret.")
    expects: list[str]
    document: dict[str, Any] | None = Field(description="Of a profile of your own; null for a shipped one.")


class RefusedRequest(BaseModel):
    """One refused request: nothing of what a stranger sent but the id that it claimed."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    at: datetime
    reason: str
    size_bytes: int
    claimed_id: str | None = Field(description="The id of the delivery that it claimed to be; unproved.")


class SourceRefusals(BaseModel):
    """What a source refused or flagged: counts of the last 24 hours, and the newest examples."""

    counts: list[RefusalView]
    recent: list[RefusedRequest] = Field(description="At most 20, newest first.")
