"""The job engine, the effects journal and the schema of the definer functions."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from app.db.rls import APP, BACKUP, DEFINER, PRIVATE, SYSTEM, definer_function, definer_grants, protect

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql" / "0001"
NOW = sa.text("now()")

FUNCTIONS = {
    "claim_due(p_limit integer, p_window integer, p_now timestamptz)": (
        "table (tenant_id uuid, id uuid, queue text, priority smallint)"
    ),
    "republish_stale(p_older_than interval, p_limit integer, p_now timestamptz)": (
        "table (tenant_id uuid, id uuid, queue text, priority smallint)"
    ),
    "sweep_expired(p_limit integer, p_now timestamptz)": "table (tenant_id uuid, id uuid, kind text, outcome text)",
    "poll_published(p_queues text[], p_older_than interval, p_limit integer)": "table (tenant_id uuid, id uuid)",
    "claim_jobs(p_tenants uuid[], p_ids uuid[], p_worker text, p_lease_s double precision)": (
        "table (tenant_id uuid, id uuid, kind text, queue text, payload text, attempt integer, max_attempts integer,"
        " lease_epoch bigint, trace_context text, run_at timestamptz, started_at timestamptz)"
    ),
    "purge_finished(p_before timestamptz, p_limit integer)": "integer",
    "queue_stats(p_cap integer)": (
        "table (queue text, due bigint, oldest_due_s double precision, published bigint, running bigint, dead bigint)"
    ),
    "report_worker(p_id text, p_queues text[], p_kinds text[], p_running integer)": "void",
    "list_workers()": (
        "table (id text, queues text[], kinds text[], running integer, started_at timestamptz, last_poll_at timestamptz)"
    ),
    "set_queue_pause(p_queue text, p_reason text, p_paused boolean)": "boolean",
    "list_queue_pauses()": "table (queue text, reason text, paused_at timestamptz)",
}


def upgrade() -> None:
    """This will create the jobs, effects, pauses and workers tables and the relay's functions."""
    op.execute("create extension if not exists pg_trgm")
    op.execute(f"create schema {PRIVATE}")
    # Owning the functions is all the definer role needs CREATE for; it is taken away again below.
    op.execute(f"grant usage, create on schema {PRIVATE} to {DEFINER}")
    op.execute(f"grant usage on schema {PRIVATE} to {SYSTEM}")
    op.execute("revoke all on schema public from public")
    op.execute(f"grant usage on schema public to {APP}, {BACKUP}, {DEFINER}")
    _create_jobs()
    _create_effects()
    _create_pauses()
    for table in ("jobs", "effects", "tenant_pauses"):
        protect(op, table)
    definer_grants(op, "jobs", "select, insert, update, delete")
    definer_grants(op, "tenant_pauses", "select")
    for table in ("queue_pauses", "workers"):
        definer_grants(op, table, "select, insert, update, delete")
        op.execute(f"grant select on {table} to {BACKUP}")
    for signature, returns in FUNCTIONS.items():
        definer_function(op, signature, returns, (SQL / f"{signature.partition('(')[0]}.sql").read_text())


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("payload", pg.JSONB, nullable=False),
        sa.Column("unique_key", sa.Text),
        sa.Column("coalesces", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("priority", sa.SmallInteger, nullable=False, server_default=sa.text("100")),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'scheduled'")),
        sa.Column("parked", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("run_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("lease_epoch", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("lease_until", sa.TIMESTAMP(timezone=True)),
        sa.Column("worker", sa.Text),
        sa.Column("trace_context", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
        sa.Column("published_at", sa.TIMESTAMP(timezone=True)),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True)),
        sa.Column("finished_at", sa.TIMESTAMP(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_jobs"),
        sa.CheckConstraint(
            "state in ('scheduled', 'published', 'running', 'succeeded', 'failed', 'dead', 'cancelled')",
            name=op.f("ck_jobs_state"),
        ),
    )
    op.execute(
        "create unique index uq_jobs_open on jobs (tenant_id, kind, unique_key) where unique_key is not null and "
        "(state in ('scheduled', 'published') or (not coalesces and state = 'running'))"
    )
    op.execute("create index ix_jobs_due on jobs (queue, tenant_id, run_at) where state = 'scheduled'")
    op.execute("create index ix_jobs_published on jobs (queue, published_at) where state = 'published'")
    op.execute("create index ix_jobs_running on jobs (lease_until) where state = 'running'")
    op.execute("create index ix_jobs_list on jobs (tenant_id, state, id)")
    op.execute("create index ix_jobs_finished on jobs (finished_at) where finished_at is not null")


def _create_effects() -> None:
    op.create_table(
        "effects",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("effect_key", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("request", pg.JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("intent_epoch", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("intents", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("outcome", pg.JSONB),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_effects"),
        sa.UniqueConstraint("tenant_id", "effect_key", name="uq_effects_tenant_id_effect_key"),
        sa.CheckConstraint("state in ('intent', 'done', 'failed', 'unknown')", name=op.f("ck_effects_state")),
    )


def _create_pauses() -> None:
    op.create_table(
        "tenant_pauses",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("paused_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tenant_pauses"),
        sa.UniqueConstraint("tenant_id", "queue", name="uq_tenant_pauses_tenant_id_queue"),
    )
    op.create_table(
        "queue_pauses",
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("paused_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("queue", name="pk_queue_pauses"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("queues", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("kinds", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("running", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
        sa.Column("last_poll_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )


def downgrade() -> None:
    """This will drop it all; the extension stays, others may use it."""
    op.execute(f"drop schema {PRIVATE} cascade")
    for table in ("workers", "queue_pauses", "tenant_pauses", "effects", "jobs"):
        op.drop_table(table)
