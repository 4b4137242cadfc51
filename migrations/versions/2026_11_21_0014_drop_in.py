"""Keys and requests of senders that were made for other services."""

from __future__ import annotations

revision = "0014"
down_revision: str | None = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will change nothing yet."""


def downgrade() -> None:
    """This will change nothing yet."""
