"""incidents"""

from __future__ import annotations

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will create the tables of this part."""


def downgrade() -> None:
    """This will drop them again."""
