"""The tables of ingest."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, JsonList, TenantScoped

CAME_TO_NOTHING = "state in ('rejected', 'failed')"


class Watch(TenantScoped):
    """What watches something in a source's name."""

    source_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(Text)


class SourceRow(TenantScoped, Base):
    """A door for one sender of one tenant. ``public_id`` is random, so unique across tenants tells nobody anything."""

    __tablename__ = "sources"

    public_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    profile: Mapped[str] = mapped_column(Text)
    config: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    severity_map: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    default_severity: Mapped[str] = mapped_column(Text, server_default=text("'P2'"))
    group_by: Mapped[JsonList] = mapped_column(JSONB, server_default=text("'[]'"))
    resolve_timeout_s: Mapped[int | None]
    limits: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    state: Mapped[str] = mapped_column(Text, server_default=text("'active'"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (
        UniqueConstraint("public_id", name="uq_sources_public_id"),
        CheckConstraint("state in ('active', 'paused', 'deleted')", name="state"),
        CheckConstraint("default_severity in ('P0', 'P1', 'P2', 'P3')", name="default_severity"),
        CheckConstraint("resolve_timeout_s > 0", name="resolve_timeout"),
        Index(
            "uq_sources_tenant_id_name", "tenant_id", "name", unique=True, postgresql_where=text("state <> 'deleted'")
        ),
    )


class SourceSecretRow(TenantScoped, Base):
    """A secret at rest. Without an expiry it holds until it is revoked; a rotated one until its overlap ends.

    Attributes:
        lookup: Keyed digest of a key that finds its source by itself (``contract.SenderKey``).
    """

    __tablename__ = "source_secrets"

    source_id: Mapped[UUID]
    ciphertext: Mapped[bytes]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    lookup: Mapped[bytes | None]

    __table_args__ = (
        Index("uq_source_secrets_lookup", "lookup", unique=True, postgresql_where=text("lookup is not null")),
        ForeignKeyConstraint(
            ["tenant_id", "source_id"], ["sources.tenant_id", "sources.id"], name="fk_source_secrets_source"
        ),
        Index("ix_source_secrets_source", "tenant_id", "source_id"),
    )


class DeliveryRow(TenantScoped, Base):
    """One verified request with its raw body, and what became of it.

    Attributes:
        stored_at: The server's clock, for the sweep and the purge; ``received_at`` is the process's.
        shard: Which intake job of the tenant works it through.
        reason: Stable code of why it was rejected or failed; ``detail`` says it in words.
        external_id: The sender's id of the delivery, a label only.
        conflicts_with: An earlier delivery that used the same signed id for another body.
        attempts: Times it was taken up alone after a failure that was not its content's.
    """

    __tablename__ = "deliveries"

    source_id: Mapped[UUID]
    received_at: Mapped[datetime]
    stored_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    shard: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    detail: Mapped[str] = mapped_column(Text, server_default=text("''"))
    external_id: Mapped[str | None] = mapped_column(Text)
    replay_key: Mapped[bytes]
    body_sha256: Mapped[bytes]
    headers: Mapped[dict[str, Any]] = mapped_column(JSONB)
    body: Mapped[bytes] = mapped_column(deferred=True)
    size_bytes: Mapped[int]
    traceparent: Mapped[str | None] = mapped_column(Text)
    conflicts_with: Mapped[UUID | None]
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    job_id: Mapped[UUID | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    processed_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state in ('accepted', 'processed', 'rejected', 'failed')", name="state"),
        Index("ix_deliveries_accepted", "tenant_id", "shard", "stored_at", postgresql_where=text("state = 'accepted'")),
        Index("ix_deliveries_source", "tenant_id", "source_id", "id"),
        Index("ix_deliveries_stored", "stored_at", postgresql_using="brin"),
        # Of what came to nothing only: a delivery that is accepted and processed pays for none of them.
        Index("ix_deliveries_failed", "tenant_id", "id", postgresql_where=text(CAME_TO_NOTHING)),
        Index("ix_deliveries_failed_source", "tenant_id", "source_id", "id", postgresql_where=text(CAME_TO_NOTHING)),
        Index("ix_deliveries_failed_reason", "tenant_id", "reason", "id", postgresql_where=text(CAME_TO_NOTHING)),
        # By day: an id begins with its time. The partitions are made and dropped by the relay's keeper.
        {"postgresql_partition_by": "RANGE (id)"},
    )


class ReplayKeyRow(Base):
    """What makes a request "the same again", and the delivery that it was the first time."""

    __tablename__ = "replay_keys"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    replay_key: Mapped[bytes] = mapped_column(primary_key=True)
    delivery_id: Mapped[UUID]
    body_sha256: Mapped[bytes]
    hits: Mapped[int] = mapped_column(server_default=text("0"))
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ix_replay_keys_expires", "expires_at"),)


class SourceRefusalRow(Base):
    """How often requests to a source were refused in an hour, by reason; the sender is told none of it."""

    __tablename__ = "source_refusals"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime]


class SourceRefusalExampleRow(TenantScoped, Base):
    """One refused request, for its tenant's eyes: never its body or its headers, which are a stranger's.

    Attributes:
        claimed_id: The id of the delivery that it claimed to be, unproved and cut.
    """

    __tablename__ = "source_refusal_examples"

    source_id: Mapped[UUID]
    at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int]
    claimed_id: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "source_id"],
            ["sources.tenant_id", "sources.id"],
            name="fk_source_refusal_examples_source",
        ),
        Index("ix_source_refusal_examples_source", "tenant_id", "source_id", "id"),
    )


class SourceProfileRow(Base):
    """How a source's sender proves itself, described by its tenant. A table of its own: the intake does without it.

    Attributes:
        strength: Of the compiled profile, so that lists need not compile it.
    """

    __tablename__ = "source_profiles"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    strength: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "source_id"], ["sources.tenant_id", "sources.id"], name="fk_source_profiles_source"
        ),
    )


class TenantLimitsRow(Base):
    """What an operator lets a tenant send; a limit that is not named is the settings'. A source's own are with the source."""

    __tablename__ = "tenant_limits"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    limits: Mapped[dict[str, Any]] = mapped_column(JSONB)
    updated_at: Mapped[datetime]


class IntakeUsageRow(Base):
    """How many alerts a source brought in a calendar minute and in the one before it; one row a source."""

    __tablename__ = "intake_usage"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    minute: Mapped[datetime]
    alerts: Mapped[int] = mapped_column(BigInteger)
    alerts_before: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
