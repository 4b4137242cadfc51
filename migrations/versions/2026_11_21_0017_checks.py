"""Checks: what Tocsin asks by itself."""

from __future__ import annotations

from alembic import op

from app.db.rls import protect

revision = "0017"
down_revision: str | None = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will create the checks, protected."""
    op.execute(
        """
        create table checks (
            tenant_id uuid not null,
            id uuid not null,
            source_id uuid not null,
            name text not null,
            url text not null,
            interval_s integer not null,
            timeout_s integer not null,
            expected_status smallint,
            expected_text text not null default '',
            fails_after smallint not null,
            severity text not null,
            state text not null default 'new',
            failures integer not null default 0,
            error text not null default '',
            version integer not null default 1,
            checked_at timestamptz,
            alerted_at timestamptz,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            constraint pk_checks primary key (tenant_id, id),
            constraint uq_checks_tenant_id_source_id_name unique (tenant_id, source_id, name),
            constraint fk_checks_source foreign key (tenant_id, source_id) references sources (tenant_id, id),
            constraint ck_checks_state check (state in ('new', 'up', 'down', 'paused')),
            constraint ck_checks_severity check (severity in ('P0', 'P1', 'P2', 'P3')),
            constraint ck_checks_positive check (interval_s > 0 and timeout_s > 0 and fails_after > 0)
        )
        """
    )
    protect(op, "checks")


def downgrade() -> None:
    """This will forget them."""
    op.execute("drop table checks")
