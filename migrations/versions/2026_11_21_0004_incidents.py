"""Alerts, incidents and their timelines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from app.db.rls import protect

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

TIME = sa.TIMESTAMP(timezone=True)
SEVERITY = "severity in ('P0', 'P1', 'P2', 'P3')"
# From the table with references to the one that is referred to.
TABLES = ("timeline_entries", "incident_counters", "incident_groups", "alert_heads", "alerts", "incidents")


def upgrade() -> None:
    """This will create the tables of alerts and incidents."""
    _create_incidents()
    _create_alerts()
    _create_heads_and_groups()
    _create_timeline()
    for table in TABLES:
        # A timeline is written once; delete is for the removal of a whole tenant.
        grants = "select, insert, delete" if table == "timeline_entries" else "select, insert, update, delete"
        protect(op, table, grants=grants)


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("source_id", sa.Uuid, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("source_kind", "source_name", "group_key")),
        *(sa.Column(name, pg.JSONB, nullable=False) for name in ("group_labels", "labels")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("alert_name", "title", "state", "severity")),
        sa.Column("assignee", sa.Text),
        sa.Column("ticket", pg.JSONB),
        *(sa.Column(name, TIME, nullable=False) for name in ("started_at", "created_at", "updated_at")),
        sa.Column("acknowledged_at", TIME),
        sa.Column("acknowledged_by", sa.Text),
        sa.Column("resolved_at", TIME),
        sa.Column("resolved_by", sa.Text),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_incidents"),
        sa.UniqueConstraint("tenant_id", "number", name="uq_incidents_tenant_id_number"),
        sa.CheckConstraint(
            "state in ('open', 'acknowledged', 'mitigated', 'snoozed', 'resolved', 'closed', 'merged')",
            name=op.f("ck_incidents_state"),
        ),
        sa.CheckConstraint(SEVERITY, name=op.f("ck_incidents_severity")),
    )
    op.execute(
        "create unique index uq_incidents_open on incidents (tenant_id, source_id, group_key) "
        "where state in ('acknowledged', 'mitigated', 'open', 'snoozed')"
    )
    op.execute("create index ix_incidents_state on incidents (tenant_id, state, id)")
    op.execute("create index ix_incidents_source on incidents (tenant_id, source_id, id)")
    op.execute("create index ix_incidents_created_at on incidents (tenant_id, created_at)")
    op.execute("create index ix_incidents_assignee on incidents (tenant_id, assignee, id) where assignee is not null")


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        *(sa.Column(name, sa.Uuid, nullable=False) for name in ("tenant_id", "id", "incident_id", "source_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("dedup_key", "status", "severity", "raw_severity")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("title", "name", "description")),
        *(sa.Column(name, pg.JSONB, nullable=False) for name in ("labels", "annotations", "links", "warnings")),
        sa.Column("ticket", pg.JSONB),
        *(sa.Column(name, TIME, nullable=False) for name in ("started_at", "last_event_at")),
        *(sa.Column(name, TIME, nullable=False) for name in ("first_seen_at", "last_seen_at")),
        sa.Column("expires_at", TIME),
        sa.Column("resolved_at", TIME),
        sa.Column("resolve_reason", sa.Text),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("count", "late_count")),
        sa.Column("ticket_announced", sa.Boolean, nullable=False),
        sa.Column("first_delivery_id", sa.Uuid),
        sa.Column("last_delivery_id", sa.Uuid),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_alerts"),
        _belongs_to("alerts", "incident_id", "incidents"),
        sa.CheckConstraint("status in ('firing', 'resolved')", name=op.f("ck_alerts_status")),
        sa.CheckConstraint(SEVERITY, name=op.f("ck_alerts_severity")),
    )
    # Repeats change rows in place; room on the page keeps them there.
    op.execute("alter table alerts set (fillfactor = 80)")
    op.execute("create unique index uq_alerts_open on alerts (tenant_id, source_id, dedup_key) where status = 'firing'")
    op.execute("create index ix_alerts_incident on alerts (tenant_id, incident_id, id)")
    op.execute("create index ix_alerts_status on alerts (tenant_id, status, id)")
    op.execute(
        "create index ix_alerts_expiry on alerts (tenant_id, source_id, expires_at) "
        "where status = 'firing' and expires_at is not null"
    )


def _create_heads_and_groups() -> None:
    op.create_table(
        "alert_heads",
        *(sa.Column(name, sa.Uuid, nullable=False) for name in ("tenant_id", "source_id")),
        sa.Column("dedup_key", sa.Text, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("event_at", TIME),
        sa.Column("event_seq", sa.BigInteger),
        sa.Column("event_index", sa.Integer),
        sa.Column("alert_id", sa.Uuid),
        sa.Column("touched_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "source_id", "dedup_key", name="pk_alert_heads"),
        _belongs_to("alert_heads", "alert_id", "alerts"),
    )
    op.execute("alter table alert_heads set (fillfactor = 80)")
    op.create_table(
        "incident_groups",
        *(sa.Column(name, sa.Uuid, nullable=False) for name in ("tenant_id", "source_id")),
        sa.Column("group_key", sa.Text, nullable=False),
        sa.Column("incident_id", sa.Uuid),
        sa.Column("touched_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "source_id", "group_key", name="pk_incident_groups"),
        _belongs_to("incident_groups", "incident_id", "incidents"),
    )
    op.create_table(
        "incident_counters",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_incident_counters"),
    )


def _create_timeline() -> None:
    op.create_table(
        "timeline_entries",
        *(sa.Column(name, sa.Uuid, nullable=False) for name in ("tenant_id", "id", "incident_id")),
        sa.Column("at", TIME, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("actor_kind", "actor_id", "actor_name")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "summary", "reason")),
        sa.Column("data", pg.JSONB, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_timeline_entries"),
        _belongs_to("timeline_entries", "incident_id", "incidents"),
    )
    op.execute("create index ix_timeline_entries_incident on timeline_entries (tenant_id, incident_id, id)")


def _belongs_to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    # With the tenant in the key, a row cannot refer to another tenant's even where policies do not apply.
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{target}.tenant_id", f"{target}.id"],
        name=f"fk_{table}_tenant_id_{column}_{target}",
    )


def downgrade() -> None:
    """This will drop them again."""
    for table in TABLES:
        op.drop_table(table)
