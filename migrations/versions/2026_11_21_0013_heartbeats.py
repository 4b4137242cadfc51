"""Heartbeats: what is expected to be heard of, and by when."""

from __future__ import annotations

from alembic import op

from app.db.rls import protect

revision = "0013"
down_revision: str | None = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """This will create the heartbeats, protected."""
    op.execute(
        """
        create table heartbeats (
            tenant_id uuid not null,
            id uuid not null,
            source_id uuid not null,
            name text not null,
            interval_s integer not null,
            grace_s integer not null,
            severity text not null,
            state text not null default 'new',
            beats bigint not null default 0,
            last_beat_at timestamptz,
            deadline_at timestamptz,
            failed_at timestamptz,
            alerted_at timestamptz,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            constraint pk_heartbeats primary key (tenant_id, id),
            constraint uq_heartbeats_tenant_id_source_id_name unique (tenant_id, source_id, name),
            constraint fk_heartbeats_source foreign key (tenant_id, source_id) references sources (tenant_id, id),
            constraint ck_heartbeats_state check (state in ('new', 'up', 'late', 'failed', 'paused')),
            constraint ck_heartbeats_severity check (severity in ('P0', 'P1', 'P2', 'P3')),
            constraint ck_heartbeats_interval check (interval_s > 0 and grace_s >= 0)
        )
        """
    )
    protect(op, "heartbeats")


def downgrade() -> None:
    """This will forget them."""
    op.execute("drop table heartbeats")
