"""How senders prove themselves beyond the shipped profiles: a profile of the tenant's own, and what was refused lately."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from app.db.rls import PRIVATE, definer_function, definer_grants, protect

revision = "0011"
down_revision: str | None = "0010"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql"
FIND = "find_source(p_public_id text)"
ROW = (
    "table (tenant_id uuid, source_id uuid, kind text, profile text,{more} state text, replay_window_s integer,"
    " secret_ids uuid[], ciphertexts bytea[], expiries timestamptz[])"
)


def upgrade() -> None:
    """This will let a source carry its own profile, and keep a few examples of what it refused."""
    op.execute(
        """
        create table source_profiles (
            tenant_id uuid not null,
            source_id uuid not null,
            document jsonb not null,
            strength text not null,
            created_at timestamptz not null default now(),
            constraint pk_source_profiles primary key (tenant_id, source_id),
            constraint fk_source_profiles_source foreign key (tenant_id, source_id) references sources (tenant_id, id)
        )
        """
    )
    op.execute(
        """
        create table source_refusal_examples (
            tenant_id uuid not null,
            id uuid not null,
            source_id uuid not null,
            at timestamptz not null,
            reason text not null,
            size_bytes integer not null,
            claimed_id text,
            constraint pk_source_refusal_examples primary key (tenant_id, id),
            constraint fk_source_refusal_examples_source
                foreign key (tenant_id, source_id) references sources (tenant_id, id)
        )
        """
    )
    for table in ("source_profiles", "source_refusal_examples"):
        protect(op, table)
    definer_grants(op, "source_profiles", "select")
    op.execute("create index ix_source_refusal_examples_source on source_refusal_examples (tenant_id, source_id, id)")
    _replace_find(ROW.format(more=" custom_profile jsonb,"), "0011")


def downgrade() -> None:
    """This will take the tenants' own profiles away: their sources then refuse everything."""
    _replace_find(ROW.format(more=""), "0003")
    op.execute("drop table source_refusal_examples")
    op.execute("drop table source_profiles")


def _replace_find(returns: str, folder: str) -> None:
    # What a function returns cannot be changed in place; both statements are of one transaction.
    op.execute(f"drop function {PRIVATE}.find_source(text)")
    definer_function(op, FIND, returns, (SQL / folder / "find_source.sql").read_text())
