"""The table of remembered writes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary, SmallInteger, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantScoped


class IdempotencyRow(TenantScoped, Base):
    """A key, what it stands for, and the answer it got."""

    __tablename__ = "idempotency_keys"

    principal_id: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    response: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("tenant_id", "principal_id", "key", name="uq_idempotency_keys_tenant_id_principal_id_key"),
        Index("ix_idempotency_keys_expires_at", "expires_at"),
    )
