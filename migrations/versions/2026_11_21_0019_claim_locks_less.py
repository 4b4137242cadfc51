"""The relay looks at what is due without locking it: in a storm that was hundreds of rows for the few that had room."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.db.rls import replace_definer_function

revision = "0019"
down_revision: str | None = "0018"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql"


def upgrade() -> None:
    """This will have only those jobs locked that are published."""
    _replace_claim("0019")


def downgrade() -> None:
    """This will have every candidate locked again."""
    _replace_claim("0012")


def _replace_claim(folder: str) -> None:
    signature = "claim_due(p_limit integer, p_window integer, p_now timestamptz)"
    rows = "table (tenant_id uuid, id uuid, queue text, priority smallint)"
    replace_definer_function(op, signature, rows, (SQL / folder / "claim_due.sql").read_text())
