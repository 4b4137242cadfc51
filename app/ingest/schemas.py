"""The values that the intake route, its jobs and its endpoints pass around."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import Severity


class DeliveryState(StrEnum):
    """What became of a delivery. ``failed`` was set aside after several attempts; it can be replayed."""

    ACCEPTED = "accepted"
    PROCESSED = "processed"
    REJECTED = "rejected"
    FAILED = "failed"


class SourceState(StrEnum):
    """Whether a source takes deliveries. A paused one asks its sender to come back, a deleted one to stop."""

    ACTIVE = "active"
    PAUSED = "paused"
    DELETED = "deleted"


class Intake(NamedTuple):
    """One verified request on its way into the database. A tuple, as one is made for each request.

    Attributes:
        id: Becomes the receipt's id, unless the delivery turns out to be known.
        replay_window_s: Seconds for which an equal ``replay_key`` is the same delivery again.
        headers: A JSON object, already filtered.
        reason: Set when the delivery is to be stored as rejected.
        conflicts_with: Set when the key is known with another body.
    """

    id: UUID
    source_id: UUID
    shard: int
    received_at: datetime
    external_id: str | None
    replay_key: bytes
    body_sha256: bytes
    replay_window_s: float
    headers: str
    body: bytes
    traceparent: str | None = None
    reason: str | None = None
    conflicts_with: UUID | None = None


class Stored(NamedTuple):
    """What the database says about a request: its receipt, and whether that existed before."""

    receipt_id: UUID
    duplicate: bool
    conflicts_with: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class RefusalExample:
    """One refused request, without anything of what a stranger sent but an id that it claimed."""

    source_id: UUID
    at: datetime
    reason: str
    size_bytes: int
    claimed_id: str | None


class SourceView(BaseModel):
    """A source as its tenant sees it. Secrets are shown when they are made and never again."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    public_id: str = Field(description="The unguessable part of the intake URL.")
    kind: str
    name: str
    profile: str = Field(description="Signature profile.")
    strength: str = Field("", description="What a request that verifies proves, from signed_fresh down to url_secret.")
    url_path: str = Field("", description="Where the sender posts to.")
    config: dict[str, Any]
    severity_map: dict[str, Severity]
    default_severity: Severity
    group_by: list[str]
    resolve_timeout_s: int | None
    state: SourceState
    created_at: datetime
    updated_at: datetime


class RefusalView(BaseModel):
    """Refused requests of one hour and reason. The sender was told none of it."""

    model_config = ConfigDict(from_attributes=True)

    hour: datetime
    reason: str
    count: int
    last_at: datetime


class SecretView(BaseModel):
    """A secret without the secret."""

    id: UUID
    created_at: datetime
    expires_at: datetime | None = Field(description="End of the overlap; null for one that holds until it is revoked.")


class SourceDetail(SourceView):
    """A source with its secrets' dates and what was refused lately."""

    secrets: list[SecretView] = Field(default_factory=list)
    refusals: list[RefusalView] = Field(default_factory=list, description="Of the last 24 hours.")


class CreatedSourceView(BaseModel):
    """A new source or secret. This is the only time the secret is shown: an answer repeated for its key has nulls."""

    source: SourceView
    secret_id: UUID = Field(description="Names the secret without telling it, to revoke it.")
    secret: str | None = Field(description="Null where the sender makes the key and you gave us its public half.")
    url: str | None = Field(description="Where to send to; with the secret in it for senders that cannot sign.")
    curl: str | None = Field(description="A line that sends a first delivery.")
    address: str | None = Field(None, description="Where to mail to, for a source that takes mail.")


class SourceCreate(BaseModel):
    """What to make."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=50, description="alertmanager, servicedesk or generic.")
    name: str = Field(min_length=1, max_length=100)
    profile: Annotated[str, Field(max_length=50)] | dict[str, Any] | None = Field(
        None,
        description="The slug of a shipped signature profile, or a document of your own; the kind's own by default.",
    )
    secret: str | None = Field(None, max_length=1024, description="Yours; without it one is made.")
    config: dict[str, Any] = Field(default_factory=dict, description="Settings of the kind.")
    severity_map: dict[str, Severity] = Field(
        default_factory=dict,
        max_length=100,
        description="From the sender's word to a severity, over the kind's own map.",
    )
    default_severity: Severity = Severity.P2
    group_by: list[str] = Field(
        default_factory=list, max_length=20, description="Labels that make one incident of several alerts."
    )
    resolve_timeout_s: int | None = Field(
        None, ge=60, le=31_536_000, description="Seconds without a sign after which an alert resolves."
    )


class SourceUpdate(BaseModel):
    """What to change; a field that is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=100)
    config: dict[str, Any] | None = None
    severity_map: dict[str, Severity] | None = Field(None, max_length=100)
    default_severity: Severity | None = None
    group_by: list[str] | None = Field(None, max_length=20)
    resolve_timeout_s: int | None = Field(None, ge=60, le=31_536_000)
    state: SourceState | None = Field(None, description="active or paused.")


class AddSecret(BaseModel):
    """A secret beside those that the source holds."""

    model_config = ConfigDict(extra="forbid")

    secret: str | None = Field(None, max_length=1024, description="Yours; without it one is made.")


class RotateSecret(AddSecret):
    """How to rotate."""

    overlap_s: int | None = Field(
        None, ge=0, le=2_592_000, description="Seconds for which the others stay valid at most; a day by default."
    )


class PreviewRequest(BaseModel):
    """A sample to try a kind and its settings on; nothing is stored."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=50)
    config: dict[str, Any] = Field(default_factory=dict)
    body: str = Field(max_length=262_144, description="The body as the sender sends it.")
    headers: dict[str, str] = Field(
        default_factory=dict, max_length=64, description="Headers that come with it, `content-type` for a form."
    )
    severity_map: dict[str, Severity] = Field(
        default_factory=dict, max_length=100, description="From the sender's word to a severity, as on the source."
    )
    default_severity: Severity = Severity.P2
    group_by: list[str] = Field(default_factory=list, max_length=20, description="Labels, as on the source.")


class PreviewLink(BaseModel):
    """A link that would be shown."""

    title: str
    url: str


class PreviewEvent(BaseModel):
    """What one alert of the sample would become."""

    dedup_key: str
    status: str
    title: str
    description: str
    raw_severity: str = Field(description="The sender's word.")
    severity: Severity = Field(description="After the table.")
    event_time: datetime | None
    labels: dict[str, str]
    group: dict[str, str] = Field(description="What it would share with the other alerts of its incident.")
    links: list[PreviewLink]
    unfound: list[str] = Field(description="Settings of yours whose expression found nothing, as `labels.host`.")
    warnings: list[str]


class Preview(BaseModel):
    """What the sample would become, or why it would be rejected."""

    events: list[PreviewEvent] = Field(description="Up to 100 of them.")
    alerts: int = Field(0, description="How many alerts the sample has.")
    notes: list[str] = Field(default_factory=list, description="What is no alert, and why.")
    error: str | None = Field(None, description="Reason code of the rejection.")
    detail: str = ""


class AlertResult(BaseModel):
    """What became of one alert of a delivery."""

    dedup_key: str
    status: str
    outcome: str
    reason: str
    alert_id: UUID | None
    incident_id: UUID | None


class ReceiptView(BaseModel):
    """What became of a delivery."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    source_id: UUID
    state: DeliveryState
    reason: str = Field(description="Stable code of why it was rejected or failed; empty otherwise.")
    detail: str
    received_at: datetime
    processed_at: datetime | None
    size_bytes: int
    external_id: str | None = Field(description="The sender's own id of the delivery.")
    conflicts_with: UUID | None = Field(description="An earlier delivery with the same signed id and another body.")
    attempts: int
    trace_id: str | None = Field(None, description="The trace in which all of it can be followed.")


class StageView(BaseModel):
    """One link of the chain from the request to its effects.

    ``done`` and ``none`` say that it is over, ``waiting`` that it is not, ``failed`` that the chain broke here.
    """

    stage: Literal["accepted", "parsed", "alerts", "incidents", "jobs", "effects"]
    state: Literal["done", "none", "waiting", "failed"]
    at: datetime | None = None
    reason: str = Field("", description="What came of it, or why nothing did.")


class ReceiptDetail(ReceiptView):
    """The same with the alerts, the incidents, and the job that did it."""

    stages: list[StageView] = Field(
        default_factory=list, description="Up to the incidents; /v1/receipts/{id}/effects goes on to the effects."
    )
    duplicates: int = Field(0, description="How often the same delivery came again within its replay window.")
    headers: dict[str, str] = Field(default_factory=dict, description="Without those that authenticate.")
    job_id: UUID | None = None
    outcomes: dict[str, int] = Field(default_factory=dict, description="Alerts by what became of them.")
    alerts: list[AlertResult] = Field(default_factory=list, description="Up to 100 of them.")
    incidents: list[UUID] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
