"""Sources with their secrets, deliveries, replay keys, and what the intake route and the relay may ask across tenants."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.db.rls import PRIVATE, definer_function, definer_grants, protect

revision = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql" / "0003"

TABLES: dict[str, str] = {
    "sources": """
        create table sources (
            tenant_id uuid not null,
            id uuid not null,
            public_id text not null,
            kind text not null,
            name text not null,
            profile text not null,
            config jsonb not null default '{}',
            severity_map jsonb not null default '{}',
            default_severity text not null default 'P2',
            group_by jsonb not null default '[]',
            resolve_timeout_s integer,
            state text not null default 'active',
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            constraint pk_sources primary key (tenant_id, id),
            constraint uq_sources_public_id unique (public_id),
            constraint ck_sources_state check (state in ('active', 'paused', 'deleted')),
            constraint ck_sources_default_severity check (default_severity in ('P0', 'P1', 'P2', 'P3')),
            constraint ck_sources_resolve_timeout check (resolve_timeout_s > 0)
        )
    """,
    "source_secrets": """
        create table source_secrets (
            tenant_id uuid not null,
            id uuid not null,
            source_id uuid not null,
            ciphertext bytea not null,
            expires_at timestamptz,
            created_at timestamptz not null default now(),
            constraint pk_source_secrets primary key (tenant_id, id),
            constraint fk_source_secrets_source foreign key (tenant_id, source_id) references sources (tenant_id, id)
        )
    """,
    "deliveries": """
        create table deliveries (
            tenant_id uuid not null,
            id uuid not null,
            source_id uuid not null,
            received_at timestamptz not null,
            stored_at timestamptz not null default now(),
            shard smallint not null,
            state text not null,
            reason text not null default '',
            detail text not null default '',
            external_id text,
            replay_key bytea not null,
            body_sha256 bytea not null,
            headers jsonb not null,
            body bytea not null,
            size_bytes integer not null,
            traceparent text,
            conflicts_with uuid,
            attempts smallint not null default 0,
            job_id uuid,
            result jsonb,
            processed_at timestamptz,
            constraint pk_deliveries primary key (tenant_id, id),
            constraint ck_deliveries_state check (state in ('accepted', 'processed', 'rejected', 'failed'))
        )
    """,
    "replay_keys": """
        create table replay_keys (
            tenant_id uuid not null,
            source_id uuid not null,
            replay_key bytea not null,
            delivery_id uuid not null,
            body_sha256 bytea not null,
            hits integer not null default 0,
            expires_at timestamptz not null,
            constraint pk_replay_keys primary key (tenant_id, source_id, replay_key)
        )
    """,
    "source_refusals": """
        create table source_refusals (
            tenant_id uuid not null,
            source_id uuid not null,
            hour timestamptz not null,
            reason text not null,
            count bigint not null,
            last_at timestamptz not null,
            constraint pk_source_refusals primary key (tenant_id, source_id, hour, reason)
        )
    """,
}

INDEXES = (
    "create unique index uq_sources_tenant_id_name on sources (tenant_id, name) where state <> 'deleted'",
    "create unique index uq_source_secrets_current on source_secrets (tenant_id, source_id) where expires_at is null",
    "create index ix_deliveries_accepted on deliveries (tenant_id, shard, stored_at) where state = 'accepted'",
    "create index ix_deliveries_source on deliveries (tenant_id, source_id, id)",
    # Rows arrive in the order of this column, so a summary per range of blocks finds the old ones at no cost on insert.
    "create index ix_deliveries_stored on deliveries using brin (stored_at)",
    "create index ix_replay_keys_expires on replay_keys (expires_at)",
)

FUNCTIONS = {
    "find_source(p_public_id text)": (
        "table (tenant_id uuid, source_id uuid, kind text, profile text, state text, replay_window_s integer,"
        " secret_ids uuid[], ciphertexts bytea[], expiries timestamptz[])"
    ),
    "sweep_intake(p_older_than interval, p_limit integer, p_max_attempts integer default 10)": (
        "table (tenant_id uuid, shard smallint, job_id uuid)"
    ),
    "expire_replay_keys(p_limit integer)": "integer",
    "purge_deliveries(p_before timestamptz, p_limit integer)": "integer",
}


def upgrade() -> None:
    """This will create the tables, their protection, and the functions of the system role."""
    for table, statement in TABLES.items():
        op.execute(statement)
        protect(op, table)
    for statement in INDEXES:
        op.execute(statement)
    definer_grants(op, "sources", "select")
    definer_grants(op, "source_secrets", "select")
    definer_grants(op, "deliveries", "select, update, delete")
    definer_grants(op, "replay_keys", "select, update, delete")
    for signature, returns in FUNCTIONS.items():
        definer_function(op, signature, returns, (SQL / f"{signature.partition('(')[0]}.sql").read_text())


def downgrade() -> None:
    """This will drop the functions and the tables with every raw body in them."""
    for signature in FUNCTIONS:
        op.execute(f"drop function {PRIVATE}.{signature.partition('(')[0]}")
    for table in reversed(TABLES):
        op.execute(f"drop table {table}")
