"""Desks, tickets, documentation, the search index over past cases, enhancements and their ratings."""

from __future__ import annotations

from alembic import op

from app.db.rls import protect

revision = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None

TABLES: dict[str, str] = {
    "desks": """
        create table desks (
            tenant_id uuid not null,
            id uuid not null,
            kind text not null,
            name text not null,
            base_url text not null,
            secret bytea not null,
            options jsonb not null default '{}',
            source_id uuid,
            allows_model boolean not null default true,
            enabled boolean not null default true,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            constraint pk_desks primary key (tenant_id, id),
            constraint uq_desks_tenant_id_name unique (tenant_id, name),
            constraint fk_desks_source foreign key (tenant_id, source_id) references sources (tenant_id, id)
        )
    """,
    "tickets": """
        create table tickets (
            tenant_id uuid not null,
            id uuid not null,
            system text not null,
            external_id text not null,
            desk_id uuid,
            incident_id uuid,
            title text not null,
            body text not null default '',
            resolution text not null default '',
            status text not null default '',
            people jsonb not null default '[]',
            url text not null default '',
            digest text not null default '',
            fetched_at timestamptz,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            constraint pk_tickets primary key (tenant_id, id),
            constraint uq_tickets_tenant_id_system_external_id unique (tenant_id, system, external_id),
            constraint fk_tickets_desk foreign key (tenant_id, desk_id) references desks (tenant_id, id)
        )
    """,
    "knowledge_entries": """
        create table knowledge_entries (
            tenant_id uuid not null,
            id uuid not null,
            title text not null,
            body text not null,
            url text not null default '',
            owner text not null default '',
            trust text not null,
            version integer not null default 1,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            constraint pk_knowledge_entries primary key (tenant_id, id),
            constraint ck_knowledge_entries_trust check (trust in ('trusted', 'untrusted'))
        )
    """,
    "case_documents": """
        create table case_documents (
            tenant_id uuid not null,
            id uuid not null,
            kind text not null,
            ref text not null,
            title text not null,
            body text not null default '',
            resolution text not null default '',
            url text not null default '',
            trust text not null,
            signature_hash text not null default '',
            words integer not null default 0,
            occurred_at timestamptz not null,
            constraint pk_case_documents primary key (tenant_id, id),
            constraint uq_case_documents_tenant_id_kind_ref unique (tenant_id, kind, ref),
            constraint ck_case_documents_kind check (kind in ('incident', 'ticket', 'knowledge'))
        )
    """,
    "case_terms": """
        create table case_terms (
            tenant_id uuid not null,
            kind text not null,
            term text not null,
            document_id uuid not null,
            weight smallint not null,
            constraint pk_case_terms primary key (tenant_id, kind, term, document_id),
            constraint fk_case_terms_document foreign key (tenant_id, document_id)
                references case_documents (tenant_id, id) on delete cascade
        )
    """,
    "enhancements": """
        create table enhancements (
            tenant_id uuid not null,
            id uuid not null,
            ticket_id uuid not null,
            incident_id uuid,
            state text not null,
            reason_code text not null default '',
            reason text not null default '',
            generation integer not null default 1,
            method text not null default '',
            confidence text not null default '',
            note text not null default '',
            remote_note_id text not null default '',
            model text not null default '',
            model_outcome text not null default '',
            prompt_version text not null default '',
            tokens_in integer not null default 0,
            tokens_out integer not null default 0,
            cost_usd numeric(12, 6) not null default 0,
            verdicts jsonb not null default '{}',
            not_consulted jsonb not null default '{}',
            created_at timestamptz not null default now(),
            composed_at timestamptz,
            finished_at timestamptz,
            updated_at timestamptz not null default now(),
            constraint pk_enhancements primary key (tenant_id, id),
            constraint uq_enhancements_tenant_id_ticket_id unique (tenant_id, ticket_id),
            constraint fk_enhancements_ticket foreign key (tenant_id, ticket_id) references tickets (tenant_id, id),
            constraint ck_enhancements_state check (state in ('queued', 'fetched', 'composed', 'published', 'failed'))
        )
    """,
    "enhancement_evidence": """
        create table enhancement_evidence (
            tenant_id uuid not null,
            id uuid not null,
            enhancement_id uuid not null,
            label text not null,
            source text not null,
            ref text not null,
            title text not null,
            body text not null,
            url text not null default '',
            trust text not null,
            why jsonb not null default '[]',
            score double precision not null,
            suspicious boolean not null default false,
            occurred_at timestamptz,
            constraint pk_enhancement_evidence primary key (tenant_id, id),
            constraint uq_enhancement_evidence_tenant_id_enhancement_id_label unique (tenant_id, enhancement_id, label),
            constraint fk_enhancement_evidence_enhancement foreign key (tenant_id, enhancement_id)
                references enhancements (tenant_id, id) on delete cascade
        )
    """,
    "feedback": """
        create table feedback (
            tenant_id uuid not null,
            id uuid not null,
            enhancement_id uuid not null,
            ticket text not null,
            rating smallint,
            sentiment text not null,
            reason_code text not null default '',
            comment text not null default '',
            technician text not null default '',
            method text not null default '',
            model text not null default '',
            prompt_version text not null default '',
            evidence jsonb not null default '[]',
            given_by text not null,
            created_at timestamptz not null,
            constraint pk_feedback primary key (tenant_id, id),
            constraint fk_feedback_enhancement foreign key (tenant_id, enhancement_id)
                references enhancements (tenant_id, id) on delete cascade,
            constraint ck_feedback_rating check (rating between 1 and 5),
            constraint ck_feedback_sentiment check (sentiment in ('positive', 'neutral', 'negative'))
        )
    """,
}
# Every index leads with tenant_id. There is no GIN index: its operators are not leakproof, so row level
# security would keep the planner from using it; case_terms is the inverted index instead.
INDEXES = (
    "create index ix_desks_kind on desks (tenant_id, kind, id)",
    "create index ix_tickets_incident on tickets (tenant_id, incident_id)",
    "create index ix_case_documents_kind on case_documents (tenant_id, kind, id)",
    "create index ix_case_documents_recent on case_documents (tenant_id, kind, occurred_at)",
    "create index ix_case_documents_signature on case_documents (tenant_id, signature_hash)",
    "create index ix_case_terms_document on case_terms (tenant_id, document_id)",
    "create index ix_enhancements_composed on enhancements (tenant_id, composed_at)",
    "create index ix_enhancements_incident on enhancements (tenant_id, incident_id)",
    "create index ix_enhancements_state on enhancements (tenant_id, state, id)",
    "create index ix_feedback_created on feedback (tenant_id, created_at, id)",
    "create index ix_feedback_enhancement on feedback (tenant_id, enhancement_id)",
)


def upgrade() -> None:
    """This will create the tables of enhancement, each protected."""
    for table, ddl in TABLES.items():
        op.execute(ddl)
        protect(op, table)
    for index in INDEXES:
        op.execute(index)


def downgrade() -> None:
    """This will drop them again, children first."""
    for table in reversed(TABLES):
        op.execute(f"drop table {table}")
