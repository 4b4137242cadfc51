"""The inventory of targets, runbooks and rules, runs with their journal, target leases and the ledger of acts."""

from __future__ import annotations

from alembic import op

from app.db.rls import protect

revision = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None

MODES = "'observe', 'dry_run', 'approve_each', 'auto'"
OUTCOMES = (
    "'recovered', 'no_action_needed', 'not_recovered', 'unverified', 'refused', 'denied', 'expired', 'cancelled',"
    " 'unknown_effect', 'simulated'"
)

TABLES: dict[str, str] = {
    "targets": """
        create table targets (
            tenant_id uuid not null,
            id uuid not null,
            name text not null,
            kind text not null,
            environment text not null default '',
            owner text not null default '',
            labels jsonb not null default '{}',
            connection jsonb not null,
            secret bytea,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            constraint pk_targets primary key (tenant_id, id),
            constraint uq_targets_tenant_id_name unique (tenant_id, name)
        )
    """,
    "runbooks": """
        create table runbooks (
            tenant_id uuid not null,
            id uuid not null,
            name text not null,
            version integer not null,
            digest text not null,
            document jsonb not null,
            source text not null,
            created_by text not null,
            created_at timestamptz not null default now(),
            constraint pk_runbooks primary key (tenant_id, id),
            constraint uq_runbooks_tenant_id_name_version unique (tenant_id, name, version)
        )
    """,
    "runbook_rules": f"""
        create table runbook_rules (
            tenant_id uuid not null,
            id uuid not null,
            name text not null,
            enabled boolean not null default true,
            match jsonb not null default '{{}}',
            runbook text not null,
            inputs jsonb not null default '{{}}',
            targets jsonb not null default '{{}}',
            mode text not null,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            constraint pk_runbook_rules primary key (tenant_id, id),
            constraint uq_runbook_rules_tenant_id_name unique (tenant_id, name),
            constraint ck_runbook_rules_mode check (mode in ({MODES}))
        )
    """,
    "runs": f"""
        create table runs (
            tenant_id uuid not null,
            id uuid not null,
            incident_id uuid,
            rule_id uuid,
            trigger_key text,
            runbook text not null,
            runbook_version integer not null,
            mode text not null,
            plan jsonb not null,
            plan_digest text not null,
            state text not null,
            cursor text not null default '',
            outcome text,
            reason_code text not null default '',
            reason text not null default '',
            escalated boolean not null default false,
            acted boolean not null default false,
            cancel_requested boolean not null default false,
            started_by jsonb not null,
            trace_id text,
            deadline timestamptz not null,
            created_at timestamptz not null,
            updated_at timestamptz not null,
            ended_at timestamptz,
            constraint pk_runs primary key (tenant_id, id),
            constraint uq_runs_tenant_id_trigger_key unique (tenant_id, trigger_key),
            constraint ck_runs_mode check (mode in ({MODES})),
            constraint ck_runs_state check (state in ('running', 'awaiting_approval', 'ended')),
            constraint ck_runs_outcome check (outcome in ({OUTCOMES})),
            constraint ck_runs_ended_has_outcome check ((state = 'ended') = (outcome is not null))
        )
    """,
    "run_steps": """
        create table run_steps (
            tenant_id uuid not null,
            id uuid not null,
            run_id uuid not null,
            key text not null,
            iteration integer not null default 0,
            kind text not null,
            action text,
            target_id uuid,
            risk text,
            state text not null,
            effect_key text,
            input jsonb not null default '{}',
            output jsonb,
            snapshot jsonb not null default '{}',
            intent_at timestamptz,
            intent_epoch bigint,
            reason text not null default '',
            error text,
            approval jsonb,
            due_at timestamptz,
            started_at timestamptz not null,
            finished_at timestamptz,
            constraint pk_run_steps primary key (tenant_id, id),
            constraint uq_run_steps_tenant_id_run_id_key_iteration unique (tenant_id, run_id, key, iteration),
            constraint uq_run_steps_tenant_id_effect_key unique (tenant_id, effect_key),
            constraint fk_run_steps_run foreign key (tenant_id, run_id) references runs (tenant_id, id) on delete cascade,
            constraint ck_run_steps_state check (state in
                ('pending', 'awaiting_approval', 'intent', 'done', 'failed', 'skipped', 'unknown'))
        )
    """,
    "run_targets": """
        create table run_targets (
            tenant_id uuid not null,
            target_id uuid not null,
            run_id uuid not null,
            constraint pk_run_targets primary key (tenant_id, target_id, run_id),
            constraint fk_run_targets_run foreign key (tenant_id, run_id) references runs (tenant_id, id) on delete cascade
        )
    """,
    "target_leases": """
        create table target_leases (
            tenant_id uuid not null,
            id uuid not null,
            run_id uuid,
            epoch bigint not null default 0,
            taken_at timestamptz not null,
            until timestamptz not null,
            constraint pk_target_leases primary key (tenant_id, id)
        )
    """,
    "acts": """
        create table acts (
            tenant_id uuid not null,
            id uuid not null,
            target_id uuid not null,
            run_id uuid not null,
            step_key text not null,
            iteration integer not null default 0,
            action text not null,
            at timestamptz not null,
            constraint pk_acts primary key (tenant_id, id),
            constraint uq_acts_tenant_id_run_id_step_key_iteration unique (tenant_id, run_id, step_key, iteration)
        )
    """,
}
INDEXES = (
    "create index ix_runs_incident on runs (tenant_id, incident_id, id)",
    "create index ix_runs_runbook on runs (tenant_id, runbook, id)",
    "create index ix_run_targets_run on run_targets (tenant_id, run_id)",
    "create index ix_acts_target on acts (tenant_id, target_id, at)",
    "create index ix_acts_recent on acts (tenant_id, at)",
)


def upgrade() -> None:
    """This will create the tables of remediation, each protected."""
    for table, ddl in TABLES.items():
        op.execute(ddl)
        protect(op, table)
    for index in INDEXES:
        op.execute(index)


def downgrade() -> None:
    """This will drop them again, children first."""
    for table in reversed(list(TABLES)):
        op.execute(f"drop table {table}")
