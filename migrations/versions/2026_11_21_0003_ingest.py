"""ingest"""

from __future__ import annotations

revision = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will create the tables of this part."""


def downgrade() -> None:
    """This will drop them again."""
