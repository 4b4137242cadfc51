"""Candidate mappings and replays."""

from __future__ import annotations

revision = "0015"
down_revision: str | None = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will change nothing yet."""


def downgrade() -> None:
    """This will change nothing yet."""
