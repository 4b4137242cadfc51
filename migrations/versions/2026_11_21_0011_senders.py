"""How senders prove themselves beyond the shipped profiles."""

from __future__ import annotations

revision = "0011"
down_revision: str | None = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will change nothing yet."""


def downgrade() -> None:
    """This will change nothing yet."""
