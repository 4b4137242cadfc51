"""A worker holds at most one job that has lost two workers: what is lost beside a job that kills is not buried with it."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.db.rls import replace_definer_function

revision = "0020"
down_revision: str | None = "0019"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql"


def upgrade() -> None:
    """This will have jobs claimed one at a time that may be what killed their workers."""
    _replace_claim("0020")


def downgrade() -> None:
    """This will have them claimed like any other."""
    _replace_claim("0001")


def _replace_claim(folder: str) -> None:
    signature = "claim_jobs(p_tenants uuid[], p_ids uuid[], p_worker text, p_lease_s double precision)"
    rows = (
        "table (tenant_id uuid, id uuid, kind text, queue text, payload text, attempt integer, max_attempts integer,"
        " lease_epoch bigint, trace_context text, run_at timestamptz, started_at timestamptz)"
    )
    replace_definer_function(op, signature, rows, (SQL / folder / "claim_jobs.sql").read_text())
