"""What senders say besides firing and resolved, and the keys of senders that were made for other services."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision: str | None = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will let a timeline remember which words of a sender it repeats."""
    with op.get_context().autocommit_block():
        # Each statement can be run again, as what was done before a failure stands.
        op.execute("alter table timeline_entries add column if not exists origin text")
        op.execute("drop index concurrently if exists uq_timeline_entries_origin")
        op.execute(
            "create unique index concurrently uq_timeline_entries_origin on timeline_entries (tenant_id, origin, kind)"
            " where origin is not null"
        )


def downgrade() -> None:
    """This will forget it again."""
    op.execute("drop index uq_timeline_entries_origin")
    op.execute("alter table timeline_entries drop column origin")
