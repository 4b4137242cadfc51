"""Trying deliveries again and trying other settings on them; finding those that came to nothing without a long look."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from app.db.rls import protect

revision = "0015"
down_revision: str | None = "0014"
branch_labels = None
depends_on = None

# What the linter of tests/migrations would refuse, and why it holds here.
ACCEPTED = {
    "index": "on the parent alone, which holds no row; each partition gets its own concurrently",
    "time-out": "a concurrent build that waits for older transactions holds nobody up, and is ended by nobody",
}

CAME_TO_NOTHING = "state in ('rejected', 'failed')"
INDEXES = {
    "failed": "(tenant_id, id)",
    "failed_source": "(tenant_id, source_id, id)",
    "failed_reason": "(tenant_id, reason, id)",
}

TABLES: dict[str, str] = {
    "replays": """
        create table replays (
            tenant_id uuid not null,
            id uuid not null,
            wanted jsonb not null,
            most integer not null,
            state text not null default 'running',
            cursor uuid not null,
            until_id uuid not null,
            batch uuid[] not null default '{}',
            taken integer not null default 0,
            processed integer not null default 0,
            failed_again integer not null default 0,
            started_by text not null,
            created_at timestamptz not null,
            updated_at timestamptz not null,
            finished_at timestamptz,
            constraint pk_replays primary key (tenant_id, id),
            constraint ck_replays_state check (state in ('running', 'done', 'cancelled'))
        )
    """,
    "source_trials": """
        create table source_trials (
            tenant_id uuid not null,
            id uuid not null,
            source_id uuid not null,
            candidate jsonb not null,
            since timestamptz not null,
            until timestamptz not null,
            most integer not null,
            state text not null default 'queued',
            reason text not null default '',
            result jsonb,
            asked_by text not null,
            created_at timestamptz not null,
            finished_at timestamptz,
            constraint pk_source_trials primary key (tenant_id, id),
            constraint ck_source_trials_state check (state in ('queued', 'done', 'failed')),
            constraint fk_source_trials_source foreign key (tenant_id, source_id) references sources (tenant_id, id)
        )
    """,
}


def upgrade() -> None:
    """This will index what came to nothing while traffic runs, then make the two tables."""
    with op.get_context().autocommit_block():
        for name, columns in INDEXES.items():
            _index(name, columns)
    for table, statement in TABLES.items():
        op.execute(statement)
        protect(op, table)
    op.execute("create unique index uq_replays_running on replays (tenant_id) where state = 'running'")
    op.execute("create index ix_source_trials_source on source_trials (tenant_id, source_id, id)")


def _index(name: str, columns: str) -> None:
    """Partitions that come later get the index when they are attached, as the parent has it first.

    A try that was broken off leaves an index without effect behind, which is made anew.
    """
    parent = f"ix_deliveries_{name}"
    op.execute(f"create index if not exists {parent} on only deliveries {columns} where {CAME_TO_NOTHING}")
    partitions = _partitions_without(parent)
    op.execute("set lock_timeout = 0")
    for partition in partitions:
        op.execute(f"drop index concurrently if exists {partition}_{name}_idx")
        op.execute(f"create index concurrently {partition}_{name}_idx on {partition} {columns} where {CAME_TO_NOTHING}")
    op.execute("set lock_timeout = '250ms'")
    for partition in partitions:
        op.execute(f"alter index {parent} attach partition {partition}_{name}_idx")


def _partitions_without(parent: str) -> list[str]:
    if op.get_context().as_sql:
        return []
    found = op.get_bind().execute(
        text(
            "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
            " where i.inhparent = 'deliveries'::regclass and not exists ("
            "  select 1 from pg_index x join pg_inherits h on h.inhrelid = x.indexrelid"
            "  where x.indrelid = c.oid and h.inhparent = cast(:parent as regclass)"
            " ) order by c.relname"
        ),
        {"parent": parent},
    )
    return [str(name) for name in found.scalars()]


def downgrade() -> None:
    """This will drop the tables and the indexes; what was replayed stays as it is.

    The deliveries come last, so that nobody waits for them longer than it takes, and their parent before its partitions'
    indexes, as for whoever stores a delivery: the other way round could close a circle.
    """
    for table in reversed(TABLES):
        op.execute(f"drop table {table}")
    op.execute("lock table deliveries in access exclusive mode")
    for name in INDEXES:
        op.execute(f"drop index ix_deliveries_{name}")
