"""What senders say besides firing and resolved, and the keys of senders that were made for other services."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.db.rls import PRIVATE, definer_function

revision = "0014"
down_revision: str | None = "0013"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql" / "0014"

COLUMNS = {"timeline_entries": "origin text", "source_secrets": "lookup bytea"}
INDEXES = {
    "uq_timeline_entries_origin": "timeline_entries (tenant_id, origin, kind) where origin is not null",
    "uq_source_secrets_lookup": "source_secrets (lookup) where lookup is not null",
}


def upgrade() -> None:
    """This will let a timeline remember which words of a sender it repeats, and a source be found by its key."""
    with op.get_context().autocommit_block():
        # Each statement can be run again, as what was done before a failure stands.
        for table, column in COLUMNS.items():
            op.execute(f"alter table {table} add column if not exists {column}")
        for name, on in INDEXES.items():
            op.execute(f"drop index concurrently if exists {name}")
            op.execute(f"create unique index concurrently {name} on {on}")
    definer_function(op, "find_source_by_key(p_lookup bytea)", "text", (SQL / "find_source_by_key.sql").read_text())


def downgrade() -> None:
    """This will forget both again: keys of other services then find nothing."""
    op.execute(f"drop function {PRIVATE}.find_source_by_key(bytea)")
    for name in INDEXES:
        op.execute(f"drop index {name}")
    for table, column in COLUMNS.items():
        op.execute(f"alter table {table} drop column {column.partition(' ')[0]}")
