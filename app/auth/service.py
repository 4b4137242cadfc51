"""Tokens: making, finding, revoking. The text of a token exists once, in the answer that made it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.audit.service import record
from app.auth import repository
from app.auth.models import ApiTokenRow
from app.auth.repository import OperatorTokenFacts
from app.auth.rules import OPERATOR_PREFIX, SHOWN_PREFIX, Role, generate_token, hash_token
from app.core.actor import Actor
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import TokenId, new_id
from app.db.system import SystemSession
from app.db.tenancy import TenantSession
from app.settings import Settings


class TokenNotFound(NotFound):
    """No token of this id for this tenant."""

    code = "token.not_found"
    title = "No such token"


class TokenAlreadyRevoked(Conflict):
    """The token was revoked before."""

    code = "token.already_revoked"
    title = "The token is revoked already"


class TokenExpiryInPast(Invalid):
    """A token that would be dead on arrival."""

    code = "token.expiry_in_past"
    title = "The expiry is in the past"
    hint = "Give a time in the future, or none for a token that does not expire."


@dataclass(frozen=True)
class CreatedToken:
    """A new token: its row and, this once, its text."""

    row: ApiTokenRow
    text: str


def pepper_of(settings: Settings) -> bytes:
    """This will return the key of token hashes; development without one gets a fixed, worthless one."""
    secret = settings.security.token_pepper.get_secret_value() or "development only"
    return hashlib.sha256(b"tocsin token pepper\x00" + secret.encode()).digest()


async def create_token(
    session: TenantSession,
    *,
    pepper: bytes,
    name: str,
    role: Role,
    expires_at: datetime | None,
    actor: Actor,
    now: datetime,
) -> CreatedToken:
    """This will make a token of this tenant.

    Raises:
        TokenExpiryInPast: ``expires_at`` is not in the future.
    """
    if expires_at is not None and expires_at <= now:
        raise TokenExpiryInPast
    token = generate_token()
    row = ApiTokenRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        name=name,
        role=role.value,
        prefix=token[:SHOWN_PREFIX],
        token_hash=hash_token(token, pepper),
        created_at=now,
        created_by=actor.id,
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(row)
    await session.flush()
    detail = {"name": name, "role": role.value, "expires_at": expires_at.isoformat() if expires_at else None}
    await record(session, actor=actor, action="token.created", subject=f"token:{row.id}", detail=detail, now=now)
    return CreatedToken(row, token)


async def list_tokens(session: TenantSession, *, before: UUID | None, limit: int) -> Sequence[ApiTokenRow]:
    """This will return a page of the tenant's tokens, newest first; never their text."""
    return await repository.list_tokens(session, before=before, limit=limit)


async def revoke_token(session: TenantSession, *, token_id: UUID, actor: Actor, now: datetime) -> ApiTokenRow:
    """This will end a token; other processes notice within their look-up cache's few seconds.

    Raises:
        TokenNotFound: Not there, or another tenant's.
        TokenAlreadyRevoked: It was ended before.
    """
    row = await repository.find_own_token(session, token_id=token_id)
    if row is None:
        raise TokenNotFound
    if row.revoked_at is not None:
        raise TokenAlreadyRevoked
    row.revoked_at = now
    await session.flush()
    detail = {"name": row.name, "role": row.role}
    await record(session, actor=actor, action="token.revoked", subject=f"token:{row.id}", detail=detail, now=now)
    return row


async def live_roles(session: TenantSession, *, token_ids: Sequence[UUID]) -> dict[UUID, Role]:
    """This will return the role of each of these tokens that is the tenant's own and was not revoked.

    One that has run out since still counts: what it did while it held stands.
    """
    if not token_ids:
        return {}
    rows = await repository.find_unrevoked(session, token_ids=token_ids)
    return {row.id: Role(row.role) for row in rows}


async def create_operator_token(
    session: SystemSession, *, pepper: bytes, name: str, expires_at: datetime | None
) -> tuple[TokenId, str]:
    """This will make a platform operator's token and return its id and, this once, its text."""
    token, token_id = generate_token(OPERATOR_PREFIX), new_id()
    await repository.add_operator(
        session, token_id=token_id, name=name, token_hash=hash_token(token, pepper), expires_at=expires_at
    )
    return TokenId(token_id), token


async def list_operator_tokens(session: SystemSession, *, limit: int) -> Sequence[OperatorTokenFacts]:
    """This will return operators' tokens, newest first; never their text."""
    return await repository.list_operators(session, limit=limit)


async def revoke_operator_token(session: SystemSession, *, token_id: UUID, now: datetime) -> None:
    """This will end an operator's token; running processes notice within their look-up cache's few seconds.

    Raises:
        TokenNotFound: There is none of this id that is alive.
    """
    if not await repository.revoke_operator(session, token_id=token_id, now=now):
        raise TokenNotFound
