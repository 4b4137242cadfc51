"""Tenants, tokens, the audit chain and remembered writes."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from app.db.rls import definer_function, definer_grants, protect

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parents[1] / "sql" / "0002"
NOW = sa.text("now()")
TIME = sa.TIMESTAMP(timezone=True)

FUNCTIONS = {
    "find_token(p_hash bytea)": (
        "table (tenant_id uuid, token_id uuid, role text, name text, expires_at timestamptz, tenant_state text)"
    ),
    "find_operator_token(p_hash bytea)": "table (token_id uuid, name text, expires_at timestamptz)",
    "create_operator_token(p_id uuid, p_name text, p_hash bytea, p_expires_at timestamptz)": "void",
    "list_tenants(p_after uuid, p_limit integer)": (
        "table (id uuid, slug text, name text, state text, created_at timestamptz)"
    ),
    "expire_idempotency_keys(p_limit integer)": "integer",
}


def upgrade() -> None:
    """This will create the access tables and their look-ups."""
    _create_tenants()
    _create_tokens()
    _create_audit()
    _create_idempotency_keys()
    protect(op, "tenants", grants="select, insert, update", tenant_column="id")
    protect(op, "api_tokens", grants="select, insert, update")
    protect(op, "audit_entries", grants="select, insert")
    protect(op, "audit_heads", grants="select, insert, update")
    protect(op, "idempotency_keys")
    definer_grants(op, "tenants", "select")
    definer_grants(op, "api_tokens", "select")
    definer_grants(op, "operator_tokens", "select, insert, update")
    definer_grants(op, "idempotency_keys", "select, update, delete")
    op.execute("grant select on operator_tokens to tocsin_backup")
    for signature, returns in FUNCTIONS.items():
        definer_function(op, signature, returns, (SQL / f"{signature.partition('(')[0]}.sql").read_text())


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'active'")),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("slug", name="uq_tenants_slug"),
        sa.CheckConstraint("state in ('active', 'isolated', 'deleted')", name=op.f("ck_tenants_state")),
    )


def _create_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_api_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
        sa.CheckConstraint("role in ('viewer', 'responder', 'engineer', 'admin')", name=op.f("ck_api_tokens_role")),
    )
    op.create_table(
        "operator_tokens",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_operator_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_operator_tokens_token_hash"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", pg.JSONB, nullable=False),
        sa.Column("prev_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_audit_entries"),
        sa.UniqueConstraint("tenant_id", "seq", name="uq_audit_entries_tenant_id_seq"),
    )
    op.create_index("ix_audit_entries_actor", "audit_entries", ["tenant_id", "actor_id", "seq"])
    op.create_index("ix_audit_entries_action", "audit_entries", ["tenant_id", "action", "seq"])
    op.create_table(
        "audit_heads",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_audit_heads"),
    )


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("principal_id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("request_hash", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.SmallInteger),
        sa.Column("response", sa.LargeBinary),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_idempotency_keys"),
        sa.UniqueConstraint("tenant_id", "principal_id", "key", name="uq_idempotency_keys_tenant_id_principal_id_key"),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])


def downgrade() -> None:
    """This will drop them again."""
    for signature in FUNCTIONS:
        op.execute(f"drop function tocsin_private.{signature.partition('(')[0]}")
    for table in ("idempotency_keys", "audit_heads", "audit_entries", "operator_tokens", "api_tokens", "tenants"):
        op.drop_table(table)
