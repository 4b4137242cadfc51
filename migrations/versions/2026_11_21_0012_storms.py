"""Limits and storms."""

from __future__ import annotations

revision = "0012"
down_revision: str | None = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will change nothing yet."""


def downgrade() -> None:
    """This will change nothing yet."""
