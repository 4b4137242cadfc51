"""The queries of the auth domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text

from app.auth.models import ApiTokenRow
from app.db.paging import newest_first
from app.db.system import SystemSession
from app.db.tenancy import TenantSession


@dataclass(frozen=True)
class FoundToken:
    """What the look-up by hash returns."""

    tenant_id: UUID
    token_id: UUID
    role: str
    name: str
    expires_at: datetime | None
    tenant_state: str


@dataclass(frozen=True)
class FoundOperator:
    """The same for a platform operator."""

    token_id: UUID
    name: str
    expires_at: datetime | None


async def find_token(session: SystemSession, *, token_hash: bytes) -> FoundToken | None:
    found = await session.execute(text("select * from tocsin_private.find_token(:hash)"), {"hash": token_hash})
    row = found.one_or_none()
    return FoundToken(**row._asdict()) if row is not None else None


async def find_operator(session: SystemSession, *, token_hash: bytes) -> FoundOperator | None:
    found = await session.execute(text("select * from tocsin_private.find_operator_token(:hash)"), {"hash": token_hash})
    row = found.one_or_none()
    return FoundOperator(**row._asdict()) if row is not None else None


async def add_operator(
    session: SystemSession, *, token_id: UUID, name: str, token_hash: bytes, expires_at: datetime | None
) -> None:
    await session.execute(
        text("select tocsin_private.create_operator_token(:id, :name, :hash, cast(:expires_at as timestamptz))"),
        {"id": token_id, "name": name, "hash": token_hash, "expires_at": expires_at},
    )


@dataclass(frozen=True)
class OperatorTokenFacts:
    """An operator's token as it is listed: never its text."""

    id: UUID
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def list_operators(session: SystemSession, *, limit: int) -> Sequence[OperatorTokenFacts]:
    found = await session.execute(text("select * from tocsin_private.list_operator_tokens(:limit)"), {"limit": limit})
    return [OperatorTokenFacts(**row._asdict()) for row in found.all()]


async def revoke_operator(session: SystemSession, *, token_id: UUID, now: datetime) -> bool:
    """This will end an operator's token; False where there is none that is alive."""
    statement = text("select tocsin_private.revoke_operator_token(:id, :now)")
    return bool((await session.execute(statement, {"id": token_id, "now": now})).scalar_one())


async def list_tokens(session: TenantSession, *, before: UUID | None, limit: int) -> Sequence[ApiTokenRow]:
    """This will return tokens, newest first."""
    statement = select(ApiTokenRow).where(ApiTokenRow.tenant_id == session.tenant_id)
    return (await session.scalars(newest_first(statement, ApiTokenRow.id, before=before, limit=limit))).all()


async def find_unrevoked(session: TenantSession, *, token_ids: Sequence[UUID]) -> Sequence[ApiTokenRow]:
    statement = select(ApiTokenRow).where(
        ApiTokenRow.tenant_id == session.tenant_id,
        ApiTokenRow.id.in_(token_ids),
        ApiTokenRow.revoked_at.is_(None),
    )
    return (await session.execute(statement)).scalars().all()


async def find_own_token(session: TenantSession, *, token_id: UUID) -> ApiTokenRow | None:
    statement = select(ApiTokenRow).where(ApiTokenRow.tenant_id == session.tenant_id, ApiTokenRow.id == token_id)
    return (await session.execute(statement.with_for_update())).scalar_one_or_none()
