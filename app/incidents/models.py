"""The tables of alerts, incidents and their timelines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantScoped
from app.incidents.rules.states import ALERT_STATES, OPEN_STATES, AlertStatus, IncidentState, Severity

FIRING = "status = 'firing'"
# Sorted, because a set's order differs between processes and the migrated index must compare equal.
OPEN = "state in ({})".format(", ".join(f"'{state}'" for state in sorted(OPEN_STATES)))


def _one_of(column: str, values: Iterable[IncidentState | AlertStatus | Severity]) -> str:
    return f"{column} in ({', '.join(repr(value.value) for value in values)})"


class IncidentRow(TenantScoped, Base):
    """One incident: what responders work on. At most one of a group is open."""

    __tablename__ = "incidents"

    number: Mapped[int] = mapped_column(BigInteger)
    source_id: Mapped[UUID]
    source_kind: Mapped[str] = mapped_column(Text)
    source_name: Mapped[str] = mapped_column(Text)
    group_key: Mapped[str] = mapped_column(Text)
    group_labels: Mapped[dict[str, Any]]
    labels: Mapped[dict[str, Any]]
    alert_name: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(Text)
    assignee: Mapped[str | None] = mapped_column(Text)
    ticket: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(Text)
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint(_one_of("state", IncidentState), name="state"),
        CheckConstraint(_one_of("severity", Severity), name="severity"),
        UniqueConstraint("tenant_id", "number"),
        Index("uq_incidents_open", "tenant_id", "source_id", "group_key", unique=True, postgresql_where=text(OPEN)),
        Index("ix_incidents_state", "tenant_id", "state", "id"),
        Index("ix_incidents_source", "tenant_id", "source_id", "id"),
        Index("ix_incidents_created_at", "tenant_id", "created_at"),
        Index("ix_incidents_assignee", "tenant_id", "assignee", "id", postgresql_where=text("assignee is not null")),
    )


class AlertRow(TenantScoped, Base):
    """One episode of an alert, from firing to resolve. At most one episode of a dedup key is open."""

    __tablename__ = "alerts"

    incident_id: Mapped[UUID]
    source_id: Mapped[UUID]
    dedup_key: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(Text)
    raw_severity: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    labels: Mapped[dict[str, Any]]
    annotations: Mapped[dict[str, Any]]
    links: Mapped[list[Any]] = mapped_column(JSONB)
    warnings: Mapped[list[Any]] = mapped_column(JSONB)
    ticket: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime]
    last_event_at: Mapped[datetime]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    resolve_reason: Mapped[str | None] = mapped_column(Text)
    count: Mapped[int] = mapped_column(BigInteger)
    late_count: Mapped[int] = mapped_column(BigInteger)
    ticket_announced: Mapped[bool]
    first_delivery_id: Mapped[UUID | None]
    last_delivery_id: Mapped[UUID | None]

    __table_args__ = (
        CheckConstraint(_one_of("status", ALERT_STATES), name="status"),
        CheckConstraint(_one_of("severity", Severity), name="severity"),
        ForeignKeyConstraint(["tenant_id", "incident_id"], ["incidents.tenant_id", "incidents.id"]),
        Index("uq_alerts_open", "tenant_id", "source_id", "dedup_key", unique=True, postgresql_where=text(FIRING)),
        Index("ix_alerts_incident", "tenant_id", "incident_id", "id"),
        Index("ix_alerts_status", "tenant_id", "status", "id"),
        Index(
            "ix_alerts_expiry",
            "tenant_id",
            "source_id",
            "expires_at",
            postgresql_where=text("status = 'firing' and expires_at is not null"),
        ),
    )


class AlertHeadRow(Base):
    """What is remembered of a dedup key for good, and the row that serialises everything said about it.

    The newest signal lives here and not on the alert, because a resolve that comes first must be remembered without
    making an alert of it; and because a lock needs a row before the first alert exists.
    """

    __tablename__ = "alert_heads"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    dedup_key: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[str | None] = mapped_column(Text)
    event_at: Mapped[datetime | None]
    event_seq: Mapped[int | None] = mapped_column(BigInteger)
    event_index: Mapped[int | None]
    alert_id: Mapped[UUID | None]
    touched_at: Mapped[datetime]

    __table_args__ = (ForeignKeyConstraint(["tenant_id", "alert_id"], ["alerts.tenant_id", "alerts.id"]),)


class IncidentGroupRow(Base):
    """A group's newest incident, and the row that two notifications of one group queue up for."""

    __tablename__ = "incident_groups"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    group_key: Mapped[str] = mapped_column(Text, primary_key=True)
    incident_id: Mapped[UUID | None]
    touched_at: Mapped[datetime]

    __table_args__ = (ForeignKeyConstraint(["tenant_id", "incident_id"], ["incidents.tenant_id", "incidents.id"]),)


class IncidentCounterRow(Base):
    """The tenant's last incident number; a sequence would tell one tenant about the others."""

    __tablename__ = "incident_counters"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class StormRow(Base):
    """What a storm incident took in. Guarded by the lock on its incident; ``source_id`` is null where the tenant flooded.

    Attributes:
        busy_at: When the flood was last seen to go on; the storm ends some time after.
        window_count: New alerts since ``window_began_at``.
        times: How often a flood went into this incident.
        collapsed: Alerts that belong to the incident; each of them is a row of ``alerts`` too.
        top: The commonest values of a few labels, counted exactly, and how many alerts had others.
    """

    __tablename__ = "storms"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[UUID | None]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    busy_at: Mapped[datetime]
    window_began_at: Mapped[datetime]
    window_count: Mapped[int] = mapped_column(BigInteger)
    times: Mapped[int]
    collapsed: Mapped[int] = mapped_column(BigInteger)
    firing_p0: Mapped[int] = mapped_column(BigInteger)
    firing_p1: Mapped[int] = mapped_column(BigInteger)
    firing_p2: Mapped[int] = mapped_column(BigInteger)
    firing_p3: Mapped[int] = mapped_column(BigInteger)
    top: Mapped[dict[str, Any]]

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "incident_id"], ["incidents.tenant_id", "incidents.id"], name="fk_storms_incident"
        ),
        Index(
            "uq_storms_active",
            "tenant_id",
            "source_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("ended_at is null"),
        ),
    )


class TimelineRow(TenantScoped, Base):
    """One line of an incident's history: who or what did what, and why. Never changed.

    ``origin`` is set where the line repeats a sender's own word, so that the same word is repeated once.
    """

    __tablename__ = "timeline_entries"

    incident_id: Mapped[UUID]
    at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[str] = mapped_column(Text)
    actor_name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]]
    origin: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "incident_id"], ["incidents.tenant_id", "incidents.id"]),
        Index("ix_timeline_entries_incident", "tenant_id", "incident_id", "id"),
        Index(
            "uq_timeline_entries_origin",
            "tenant_id",
            "origin",
            "kind",
            unique=True,
            postgresql_where=text("origin is not null"),
        ),
    )
