"""Operators' tokens can be listed and ended."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.db.rls import definer_function

revision = "0007"
down_revision: str | None = "0006"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql" / "0007"
FUNCTIONS = {
    "revoke_operator_token(p_id uuid, p_now timestamptz)": "boolean",
    "list_operator_tokens(p_limit integer)": (
        "table (id uuid, name text, created_at timestamptz, expires_at timestamptz, revoked_at timestamptz)"
    ),
}


def upgrade() -> None:
    """This will add the two functions."""
    for signature, returns in FUNCTIONS.items():
        definer_function(op, signature, returns, (SQL / f"{signature.partition('(')[0]}.sql").read_text())


def downgrade() -> None:
    """This will drop them again."""
    for signature in FUNCTIONS:
        op.execute(f"drop function tocsin_private.{signature.partition('(')[0]}")
