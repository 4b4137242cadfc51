"""A search for similar cases reads the index of words alone: each row of it knows its document's length too."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision: str | None = "0015"
branch_labels = None
depends_on = None

# What the linter of tests/migrations would refuse, and why it holds here.
ACCEPTED = {
    "drop constraint": "the same columns are the primary key again in the same statement, by the index built before it",
    "time-out": "a concurrent build that waits for older transactions holds nobody up, and is ended by nobody",
}

KEY = "pk_case_terms"
BUILT = f"{KEY}_next"
COLUMNS = "(tenant_id, kind, term, document_id)"
# An index-only scan looks at the row where a page is not yet marked as seen by all, and a word's newest documents are what
# is asked for: a share of a large table, which is when the server would mark them by itself, comes too late for those.
MARKING = {"autovacuum_vacuum_insert_threshold": 20_000, "autovacuum_vacuum_insert_scale_factor": 0}


def upgrade() -> None:
    """This will add the length, which rows from before do not have, and put what ranks a document into the primary key."""
    with op.get_context().autocommit_block():
        op.execute("alter table case_terms add column if not exists words smallint")
        op.execute(f"alter table case_terms set ({', '.join(f'{name} = {value}' for name, value in MARKING.items())})")
        _build("include (weight, words)")
    _exchange()


def downgrade() -> None:
    """This will make the primary key without them and forget the lengths."""
    with op.get_context().autocommit_block():
        _build("")
    _exchange()
    op.execute(f"alter table case_terms reset ({', '.join(MARKING)})")
    op.execute("alter table case_terms drop column words")


def _build(include: str) -> None:
    """A try that was broken off leaves an index without effect behind, which is made anew."""
    op.execute("set lock_timeout = 0")
    op.execute(f"drop index concurrently if exists {BUILT}")
    op.execute(f"create unique index concurrently {BUILT} on case_terms {COLUMNS} {include}")
    op.execute("set lock_timeout = '250ms'")


def _exchange() -> None:
    op.execute(f"alter table case_terms drop constraint {KEY}, add constraint {KEY} primary key using index {BUILT}")
