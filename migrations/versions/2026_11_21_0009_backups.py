"""A backup of everything: the backup role may read the last two tables, and the last success is known to the relays."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.db.rls import BACKUP, PRIVATE, definer_function, definer_grants

revision = "0009"
down_revision: str | None = "0008"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql" / "0009"
FUNCTIONS = {
    "report_backup(p_taken_at timestamptz, p_size_bytes bigint)": "void",
    "last_backup()": "table (taken_at timestamptz, size_bytes bigint)",
}


def upgrade() -> None:
    """This will add the row of the last backup, and let the backup role read what it could not."""
    op.execute(
        """
        create table backups (
            id smallint not null default 1,
            taken_at timestamptz not null,
            size_bytes bigint not null,
            reported_at timestamptz not null default now(),
            constraint pk_backups primary key (id),
            constraint ck_backups_one_row check (id = 1)
        )
        """
    )
    definer_grants(op, "backups", "select, insert, update")
    for table in ("backups", "alembic_version", "operator_tokens"):
        op.execute(f"grant select on {table} to {BACKUP}")
    for signature, returns in FUNCTIONS.items():
        definer_function(op, signature, returns, (SQL / f"{signature.partition('(')[0]}.sql").read_text())


def downgrade() -> None:
    """This will forget when the last backup was."""
    for signature in FUNCTIONS:
        op.execute(f"drop function {PRIVATE}.{signature.partition('(')[0]}")
    op.execute("revoke select on alembic_version, operator_tokens from tocsin_backup")
    op.execute("drop table backups")
