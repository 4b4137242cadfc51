"""The tables of ticket enhancement.

Search runs on ``case_documents`` and its inverted index ``case_terms``. Full text operators (``@@``, ``%``) are
not leakproof, so under row level security their GIN indexes are never used; equality of text is, so one row per
word, looked up by (tenant, word), stays an index scan and gives document frequencies for nothing.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantScoped

_EMPTY = text("''")
_NOW = text("now()")
_OBJECT = text("'{}'::jsonb")
_LIST = text("'[]'::jsonb")


class DeskRow(TenantScoped, Base):
    """A ticket system of a tenant. ``secret`` is encrypted; ``source_id`` binds tickets of one webhook source to it."""

    __tablename__ = "desks"

    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    base_url: Mapped[str] = mapped_column(Text)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=_OBJECT)
    source_id: Mapped[UUID | None]
    allows_model: Mapped[bool] = mapped_column(server_default=text("true"))
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "source_id"], ["sources.tenant_id", "sources.id"], name="fk_desks_source"),
        UniqueConstraint("tenant_id", "name"),
        Index("ix_desks_kind", "tenant_id", "kind", "id"),
    )


class TicketRow(TenantScoped, Base):
    """A ticket as last fetched, without secrets. ``digest`` tells whether it changed since."""

    __tablename__ = "tickets"

    system: Mapped[str] = mapped_column(Text)
    external_id: Mapped[str] = mapped_column(Text)
    desk_id: Mapped[UUID | None]
    incident_id: Mapped[UUID | None]
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    resolution: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    status: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    people: Mapped[list[str]] = mapped_column(JSONB, server_default=_LIST)
    url: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    digest: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    fetched_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (
        UniqueConstraint("tenant_id", "system", "external_id"),
        ForeignKeyConstraint(["tenant_id", "desk_id"], ["desks.tenant_id", "desks.id"], name="fk_tickets_desk"),
        Index("ix_tickets_incident", "tenant_id", "incident_id"),
    )


class KnowledgeEntryRow(TenantScoped, Base):
    """A piece of the tenant's own documentation, with who answers for it."""

    __tablename__ = "knowledge_entries"

    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    owner: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    trust: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (CheckConstraint("trust in ('trusted', 'untrusted')", name="trust"),)


class CaseDocumentRow(TenantScoped, Base):
    """What can be found again: one row per past incident, ticket or knowledge entry, without secrets."""

    __tablename__ = "case_documents"

    kind: Mapped[str] = mapped_column(Text)
    ref: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    resolution: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    url: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    trust: Mapped[str] = mapped_column(Text)
    signature_hash: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    words: Mapped[int] = mapped_column(server_default=text("0"))
    occurred_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("tenant_id", "kind", "ref"),
        CheckConstraint("kind in ('incident', 'ticket', 'knowledge')", name="kind"),
        Index("ix_case_documents_recent", "tenant_id", "kind", "occurred_at"),
        Index("ix_case_documents_kind", "tenant_id", "kind", "id"),
        Index("ix_case_documents_signature", "tenant_id", "signature_hash"),
    )


class CaseTermRow(Base):
    """One word of one document, or one exact fact of it (``=10.0.0.5``), with how often it occurs.

    Attributes:
        words: The document's length; null where the row is from before it was noted here.
    """

    __tablename__ = "case_terms"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    term: Mapped[str] = mapped_column(Text, primary_key=True)
    document_id: Mapped[UUID] = mapped_column(primary_key=True)
    weight: Mapped[int] = mapped_column(SmallInteger)
    words: Mapped[int | None] = mapped_column(SmallInteger)

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "document_id"],
            ["case_documents.tenant_id", "case_documents.id"],
            name="fk_case_terms_document",
            ondelete="CASCADE",
        ),
        Index("ix_case_terms_document", "tenant_id", "document_id"),
    )


class EnhancementRow(TenantScoped, Base):
    """One ticket's enhancement, from queued to published or failed with a reason.

    ``generation`` counts the tries that a person asked for; each has its own effect at the desk, and all of them
    edit the same note, which carries this row's id.
    """

    __tablename__ = "enhancements"

    ticket_id: Mapped[UUID]
    incident_id: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(Text)
    reason_code: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    reason: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    generation: Mapped[int] = mapped_column(server_default=text("1"))
    method: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    confidence: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    note: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    remote_note_id: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    model: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    model_outcome: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    prompt_version: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    tokens_in: Mapped[int] = mapped_column(server_default=text("0"))
    tokens_out: Mapped[int] = mapped_column(server_default=text("0"))
    cost_usd: Mapped[Decimal] = mapped_column(Numeric(12, 6), server_default=text("0"))
    verdicts: Mapped[dict[str, int]] = mapped_column(JSONB, server_default=_OBJECT)
    not_consulted: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=_OBJECT)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    composed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (
        UniqueConstraint("tenant_id", "ticket_id"),
        ForeignKeyConstraint(
            ["tenant_id", "ticket_id"], ["tickets.tenant_id", "tickets.id"], name="fk_enhancements_ticket"
        ),
        CheckConstraint("state in ('queued', 'fetched', 'composed', 'published', 'failed')", name="state"),
        Index("ix_enhancements_state", "tenant_id", "state", "id"),
        Index("ix_enhancements_incident", "tenant_id", "incident_id"),
        Index("ix_enhancements_composed", "tenant_id", "composed_at"),
    )


class EvidenceRow(TenantScoped, Base):
    """One evidence item as it was when the note was written; ``label`` is its name in the note."""

    __tablename__ = "enhancement_evidence"

    enhancement_id: Mapped[UUID]
    label: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    ref: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    trust: Mapped[str] = mapped_column(Text)
    why: Mapped[list[str]] = mapped_column(JSONB, server_default=_LIST)
    score: Mapped[float]
    suspicious: Mapped[bool] = mapped_column(server_default=text("false"))
    occurred_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "enhancement_id", "label"),
        ForeignKeyConstraint(
            ["tenant_id", "enhancement_id"],
            ["enhancements.tenant_id", "enhancements.id"],
            name="fk_enhancement_evidence_enhancement",
            ondelete="CASCADE",
        ),
    )


class FeedbackRow(TenantScoped, Base):
    """What a technician thought of a note, kept with what the note was made from."""

    __tablename__ = "feedback"

    enhancement_id: Mapped[UUID]
    ticket: Mapped[str] = mapped_column(Text)
    rating: Mapped[int | None] = mapped_column(SmallInteger)
    sentiment: Mapped[str] = mapped_column(Text)
    reason_code: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    comment: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    technician: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    method: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    model: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    prompt_version: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    evidence: Mapped[list[str]] = mapped_column(JSONB, server_default=_LIST)
    given_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "enhancement_id"],
            ["enhancements.tenant_id", "enhancements.id"],
            name="fk_feedback_enhancement",
            ondelete="CASCADE",
        ),
        CheckConstraint("rating between 1 and 5", name="rating"),
        CheckConstraint("sentiment in ('positive', 'neutral', 'negative')", name="sentiment"),
        Index("ix_feedback_created", "tenant_id", "created_at", "id"),
        Index("ix_feedback_enhancement", "tenant_id", "enhancement_id"),
    )
