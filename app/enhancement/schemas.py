"""What the API takes and gives. A desk's key goes in and never comes out."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.enhancement.rules.evidence import Trust
from app.net.errors import EgressRefused
from app.net.outbound import OutboundHttp


def _callable(url: str) -> str:
    """Judge the form by the parser that will dial it; another one may read another host, or take credentials along."""
    try:
        OutboundHttp.check_url(url)
    except EgressRefused as error:
        raise ValueError(error.detail) from None
    return url


BaseUrl = Annotated[str, Field(max_length=2000, json_schema_extra={"format": "uri"}), AfterValidator(_callable)]


class EnhancementState(StrEnum):
    """Where an enhancement is; the last two are final until somebody asks for another try."""

    QUEUED = "queued"
    FETCHED = "fetched"
    COMPOSED = "composed"
    PUBLISHED = "published"
    FAILED = "failed"


class FeedbackReason(StrEnum):
    """Why a note was not good."""

    WRONG_CAUSE = "wrong_cause"
    IRRELEVANT_SIMILAR = "irrelevant_similar"
    MISSING = "missing"
    TOO_LONG = "too_long"
    OTHER = "other"


class Sentiment(StrEnum):
    """Thumbs up, down, or neither."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


# PostgreSQL's text holds every character but NUL.
NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=NO_NUL)]


class NewDesk(_Input):
    """A ticket system to read tickets from and write notes to."""

    kind: Name = "servicedesk"
    name: Name
    base_url: BaseUrl = Field(description="Address of the installation, without /api/v3.")
    secret: Annotated[SecretStr, Field(min_length=1, max_length=2000, description="Technician key or token.")]
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the desk's kind.")
    source_id: UUID | None = Field(None, description="Binds the desk to one webhook source.")
    allows_model: bool = Field(True, description="False keeps this desk's tickets away from any model.")


class DeskChange(_Input):
    """What to change; what is absent stays."""

    name: Name | None = None
    base_url: BaseUrl | None = None
    secret: Annotated[SecretStr, Field(min_length=1, max_length=2000)] | None = None
    options: dict[str, Any] | None = None
    allows_model: bool | None = None
    enabled: bool | None = None


class DeskView(_View):
    """A desk without its key."""

    id: UUID
    kind: str
    name: str
    base_url: str
    options: dict[str, Any]
    source_id: UUID | None
    allows_model: bool
    enabled: bool
    created_at: datetime
    updated_at: datetime


class NewKnowledgeEntry(_Input):
    """A piece of documentation. Only a trusted entry's address is shown in notes."""

    title: Annotated[str, Field(min_length=1, max_length=300, pattern=NO_NUL)]
    body: Annotated[str, Field(min_length=1, max_length=50_000, pattern=NO_NUL)]
    url: Annotated[str, Field(max_length=2000, pattern=r"^(https?://[^\s\"'<>\x00]+)?$")] = ""
    owner: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""
    trust: Trust = Trust.TRUSTED


class KnowledgeEntryView(_View):
    """A stored entry; ``version`` counts its changes."""

    id: UUID
    title: str
    body: str
    url: str
    owner: str
    trust: Trust
    version: int
    created_at: datetime
    updated_at: datetime


class EvidenceView(_View):
    """One item that a note rests on."""

    label: str
    source: str
    ref: str
    title: str
    text: str
    url: str
    trust: Trust
    why: list[str]
    score: float
    suspicious: bool
    occurred_at: datetime | None


class EnhancementSummary(_View):
    """An enhancement in a list."""

    id: UUID
    system: str
    ticket: str
    title: str
    incident_id: UUID | None
    state: EnhancementState
    reason_code: str
    reason: str
    method: str
    confidence: str
    created_at: datetime
    finished_at: datetime | None


class EnhancementView(EnhancementSummary):
    """An enhancement with its note and all that it was made from."""

    generation: int
    note: str
    remote_note_id: str
    model: str
    model_outcome: str
    prompt_version: str
    tokens_in: int
    tokens_out: int
    cost_usd: float
    verdicts: dict[str, int]
    not_consulted: dict[str, str]
    composed_at: datetime | None
    evidence: list[EvidenceView]


class NewFeedback(_Input):
    """A technician's opinion of a note: stars, a thumb, or both."""

    enhancement_id: UUID | None = None
    ticket_id: Annotated[str, Field(max_length=200, pattern=NO_NUL)] | None = Field(
        None, description="The desk's ticket number."
    )
    system: Name = "servicedesk"
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    thumbs: Literal["up", "down"] | None = None
    reason_code: FeedbackReason | None = None
    comment: Annotated[str, Field(max_length=4000, pattern=NO_NUL)] = ""
    technician: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""

    @model_validator(mode="after")
    def _says_what_and_about_which(self) -> Self:
        if self.rating is None and self.thumbs is None:
            raise ValueError("give a rating, a thumb, or both")
        if (self.enhancement_id is None) == (self.ticket_id is None):
            raise ValueError("name either enhancement_id or ticket_id")
        return self


class FeedbackView(_View):
    """A stored opinion."""

    id: UUID
    tenant_id: UUID
    enhancement_id: UUID
    ticket_id: str
    rating: int | None
    sentiment: Sentiment
    reason_code: str
    comment: str
    technician: str
    method: str
    model: str
    prompt_version: str
    evidence: list[str]
    created_at: datetime


class FeedbackDay(_View):
    """One day's opinions."""

    day: date
    count: int
    average_rating: float | None


class FeedbackStats(_View):
    """Opinions over a time, against the targets: above 4 of 5, more than 70 % positive."""

    tenant_id: UUID
    start_date: date | None
    end_date: date | None
    count: int
    average_rating: float | None
    ratings: dict[str, int]
    positive_share: float | None
    sentiments: dict[str, int]
    reasons: dict[str, int]
    methods: dict[str, float | None]
    by_day: list[FeedbackDay]
    meets_rating_target: bool | None
    meets_sentiment_target: bool | None
