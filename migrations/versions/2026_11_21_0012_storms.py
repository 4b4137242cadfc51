"""Limits of tenants and sources, how many alerts sources bring, and the storms that their floods collapse into."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.db.rls import PRIVATE, definer_function, definer_grants, protect, replace_definer_function

revision = "0012"
down_revision: str | None = "0011"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql"
LIMITS = "read_intake_limits(p_tenants uuid[], p_caps integer[])"
LIMIT_ROWS = "table (tenant_id uuid, source_id uuid, limits jsonb, alerts bigint, backlog bigint)"
CLAIM = "claim_due(p_limit integer, p_window integer, p_now timestamptz)"
CLAIMED = "table (tenant_id uuid, id uuid, queue text, priority smallint)"
TABLES = {
    "tenant_limits": """
        tenant_id uuid not null,
        limits jsonb not null,
        updated_at timestamptz not null,
        constraint pk_tenant_limits primary key (tenant_id)
    """,
    "intake_usage": """
        tenant_id uuid not null,
        source_id uuid not null,
        minute timestamptz not null,
        alerts bigint not null,
        alerts_before bigint not null default 0,
        constraint pk_intake_usage primary key (tenant_id, source_id)
    """,
    "storms": """
        tenant_id uuid not null,
        incident_id uuid not null,
        source_id uuid,
        began_at timestamptz not null,
        ended_at timestamptz,
        busy_at timestamptz not null,
        window_began_at timestamptz not null,
        window_count bigint not null,
        times integer not null,
        collapsed bigint not null,
        firing_p0 bigint not null,
        firing_p1 bigint not null,
        firing_p2 bigint not null,
        firing_p3 bigint not null,
        top jsonb not null,
        constraint pk_storms primary key (tenant_id, incident_id),
        constraint fk_storms_incident foreign key (tenant_id, incident_id) references incidents (tenant_id, id)
    """,
}


def upgrade() -> None:
    """This will add the tables, each tenant's own, and let the api's processes read limits without a session each."""
    op.execute("alter table sources add column limits jsonb not null default '{}'")
    for table, columns in TABLES.items():
        op.execute(f"create table {table} ({columns})")
        protect(op, table)
        definer_grants(op, table, "select")
    # At most one storm of a source, and one of the whole tenant, goes on at a time.
    op.execute(
        "create unique index uq_storms_active on storms (tenant_id, source_id) nulls not distinct where ended_at is null"
    )
    definer_function(op, LIMITS, LIMIT_ROWS, (SQL / "0012" / "read_intake_limits.sql").read_text(), language="sql")
    definer_function(
        op, "count_storms()", "bigint", "select count(*) from storms where ended_at is null", language="sql"
    )
    _replace_claim("0012")


def downgrade() -> None:
    """This will forget limits and storms; what collapsed stays in its incident."""
    _replace_claim("0001")
    op.execute(f"drop function {PRIVATE}.count_storms()")
    op.execute(f"drop function {PRIVATE}.read_intake_limits(uuid[], integer[])")
    for table in reversed(TABLES):
        op.execute(f"drop table {table}")
    op.execute("alter table sources drop column limits")


def _replace_claim(folder: str) -> None:
    replace_definer_function(op, CLAIM, CLAIMED, (SQL / folder / "claim_due.sql").read_text())
