"""${message}"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will ${message}."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """This will undo it."""
    ${downgrades if downgrades else "pass"}
