"""What is remembered of alerts' keys and groups is forgotten when nothing was heard of them for long."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.db.rls import DEFINER, PRIVATE, definer_function, definer_grants

revision = "0010"
down_revision: str | None = "0009"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql" / "0010"
ARGUMENTS = "(p_before timestamptz, p_limit integer, p_tenant uuid, p_source uuid, p_key text)"
FUNCTIONS = ("forget_quiet_heads", "forget_quiet_groups")
TABLES = ("alert_heads", "incident_groups")


def upgrade() -> None:
    """This will add the two functions, and let them see and delete what they are about."""
    for table in TABLES:
        # A lock on a row is a right to update it.
        definer_grants(op, table, "select, update, delete")
    definer_grants(op, "incidents", "select")
    for name in FUNCTIONS:
        returns = "table (removed integer, seen integer, tenant_id uuid, source_id uuid, key text)"
        definer_function(op, f"{name}{ARGUMENTS}", returns, (SQL / f"{name}.sql").read_text())


def downgrade() -> None:
    """This will take them away again."""
    for name in FUNCTIONS:
        op.execute(f"drop function {PRIVATE}.{name}")
    for table in (*TABLES, "incidents"):
        op.execute(f"revoke all on {table} from {DEFINER}")
