"""A source may hold several secrets that do not end: each of its senders can have one that is revoked alone."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision: str | None = "0017"
branch_labels = None
depends_on = None

# What the linter of tests/migrations would refuse, and why it holds here.
ACCEPTED = {"time-out": "a concurrent build that waits for older transactions holds nobody up, and is ended by nobody"}

OF_ONE = "uq_source_secrets_current"
OF_MANY = "ix_source_secrets_source"
COLUMNS = "source_secrets (tenant_id, source_id)"


def upgrade() -> None:
    """This will let the index find a source's secrets without holding them to one that does not end."""
    with op.get_context().autocommit_block():
        op.execute("set lock_timeout = 0")
        op.execute(f"drop index concurrently if exists {OF_MANY}")
        op.execute(f"create index concurrently {OF_MANY} on {COLUMNS}")
        op.execute(f"drop index concurrently if exists {OF_ONE}")
        op.execute("set lock_timeout = '250ms'")


def downgrade() -> None:
    """This will let the newest secret of each source be the current one; the others of it end in a day, as by a rotation."""
    # The owner sees no row while it is bound by row level security.
    op.execute("alter table source_secrets no force row level security")
    op.execute(
        "update source_secrets o set expires_at = now() + interval '1 day' where o.expires_at is null and exists ("
        " select 1 from source_secrets n where n.tenant_id = o.tenant_id and n.source_id = o.source_id"
        " and n.expires_at is null and (n.created_at, n.id) > (o.created_at, o.id))"
    )
    op.execute("alter table source_secrets force row level security")
    op.execute(f"create unique index {OF_ONE} on {COLUMNS} where expires_at is null")
    op.execute(f"drop index {OF_MANY}")
