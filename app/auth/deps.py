"""Who is calling, what they may do, and the transaction they do it in.

Every refusal before the role check is the same 401. A look-up is remembered for a few seconds per process, so a revoked
token can live that much longer elsewhere; the cache is bounded and holds hashes only.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from structlog.contextvars import bind_contextvars

from app.auth import repository
from app.auth.repository import FoundOperator, FoundToken
from app.auth.rules import OPERATOR_PREFIX, TENANT_PREFIX, Role, hash_token, is_well_formed
from app.auth.service import pepper_of
from app.core.actor import Actor, ActorKind
from app.core.clock import Clock
from app.core.errors import Forbidden, Unauthenticated
from app.core.ids import TenantId, TokenId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import TenantSession, tenant_session
from app.http.clock import Now
from app.http.idempotency import KeyHeader, idempotent
from app.settings import Settings
from app.tenants.service import TenantIsolated

CACHE_TTL_S = 5.0
CACHE_SIZE = 4096
STRANGERS_AT_ONCE = 2
"""Look-ups of tokens that were never seen: below the system role's connections, so that a flood of invented ones leaves some
to tokens that were, and to the intake."""

# Declared for the OpenAPI document; the header itself is parsed below, more strictly than the framework does.
_bearer = HTTPBearer(auto_error=False, description="A token made with `tocsin token create` or POST /v1/tokens.")


class NotAuthenticated(Unauthenticated):
    """Missing, malformed, unknown, expired or revoked: never said which."""

    code = "auth.token_invalid"
    title = "Authentication failed"
    hint = "Send 'Authorization: Bearer <token>' with a token that is not expired or revoked."


class RoleTooLow(Forbidden):
    """The token's role does not include what was asked."""

    code = "auth.role_too_low"
    title = "Your role does not allow this"
    hint = "Ask an admin of your tenant for a token with the role that the problem names."


@dataclass(frozen=True)
class Principal:
    """An authenticated token of one tenant."""

    tenant_id: TenantId
    token_id: TokenId
    role: Role
    name: str

    @property
    def actor(self) -> Actor:
        return Actor(kind=ActorKind.TOKEN, id=str(self.token_id), name=self.name)


@dataclass(frozen=True)
class OperatorPrincipal:
    """An authenticated platform operator: administers tenants, sees no tenant's data."""

    token_id: TokenId
    name: str

    @property
    def actor(self) -> Actor:
        return Actor(kind=ActorKind.OPERATOR, id=str(self.token_id), name=self.name)


Found = FoundToken | FoundOperator | None
_Memory = OrderedDict[bytes, tuple[float, Found]]


class TokenLookup:
    """Finds tokens by hash, with a small memory. One per process.

    Args:
        database: Asked through the system role's two look-up functions only.
        pepper: Key of the tokens' hashes.
        ticks: Seconds on a clock that never goes back.
        size: Tokens remembered, and as many strangers' besides.
    """

    def __init__(
        self,
        database: Database,
        *,
        pepper: bytes,
        ticks: Callable[[], float] = time.monotonic,
        size: int = CACHE_SIZE,
    ) -> None:
        self._database = database
        self._pepper = pepper
        self._ticks = ticks
        self._size = size
        # Apart, so that a flood of invented tokens cannot push the real ones out.
        self._known: _Memory = OrderedDict()
        self._strangers: _Memory = OrderedDict()
        self._strangers_slots = asyncio.Semaphore(STRANGERS_AT_ONCE)

    async def find(self, token: str) -> Found:
        """This will return what the token stands for, or None; expiry is the caller's to judge."""
        token_hash = hash_token(token, self._pepper)
        remembered = self._known.get(token_hash) or self._strangers.get(token_hash)
        if remembered is not None and self._ticks() - remembered[0] < CACHE_TTL_S:
            return remembered[1]
        async with nullcontext() if token_hash in self._known else self._strangers_slots:
            asked_at = self._ticks()
            found = await self._look(token, token_hash)
        self._remember(token_hash, asked_at, found)
        return found

    async def _look(self, token: str, token_hash: bytes) -> Found:
        async with system_session(self._database, reason="auth.find_token") as session:
            if token.startswith(f"{OPERATOR_PREFIX}_"):
                return await repository.find_operator(session, token_hash=token_hash)
            return await repository.find_token(session, token_hash=token_hash)

    def _remember(self, token_hash: bytes, asked_at: float, found: Found) -> None:
        for memory in (self._known, self._strangers):
            memory.pop(token_hash, None)
        memory = self._known if found is not None else self._strangers
        memory[token_hash] = (asked_at, found)
        while len(memory) > self._size:
            memory.popitem(last=False)


def _lookup(resources: Resources) -> TokenLookup:
    try:
        return resources.get(TokenLookup)
    except LookupError:
        made = TokenLookup(resources.get(Database), pepper=pepper_of(resources.get(Settings)))
        resources.provide(TokenLookup, made)
        return made


def _token_of(request: Request, prefix: str) -> str:
    """The one well-formed bearer token of the request (C12, C13)."""
    values = request.headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.startswith(f"{prefix}_") or not is_well_formed(token):
        raise NotAuthenticated
    return token


def _refuse_expired(expires_at: datetime | None, resources: Resources) -> None:
    if expires_at is not None and expires_at <= resources.get(Clock).now():  # type: ignore[type-abstract]
        raise NotAuthenticated


async def _principal(request: Request, _declared: Annotated[object, Depends(_bearer)]) -> Principal:
    resources: Resources = request.app.state.resources
    found = await _lookup(resources).find(_token_of(request, TENANT_PREFIX))
    if not isinstance(found, FoundToken):
        raise NotAuthenticated
    _refuse_expired(found.expires_at, resources)
    if found.tenant_state != "active":
        raise TenantIsolated
    # For what stands below the domains: page cursors are bound to it, log lines and spans carry it.
    request.state.tenant_id = str(found.tenant_id)
    bind_contextvars(tenant_id=str(found.tenant_id))
    return Principal(TenantId(found.tenant_id), TokenId(found.token_id), Role(found.role), found.name)


async def _operator(request: Request, _declared: Annotated[object, Depends(_bearer)]) -> OperatorPrincipal:
    resources: Resources = request.app.state.resources
    found = await _lookup(resources).find(_token_of(request, OPERATOR_PREFIX))
    if not isinstance(found, FoundOperator):
        raise NotAuthenticated
    _refuse_expired(found.expires_at, resources)
    return OperatorPrincipal(TokenId(found.token_id), found.name)


AnyPrincipal = Annotated[Principal, Depends(_principal)]


class _AtLeast:
    def __init__(self, role: Role) -> None:
        self._role = role

    async def __call__(self, principal: AnyPrincipal) -> Principal:
        if not principal.role.includes(self._role):
            raise RoleTooLow(f"this needs the role {self._role.value}; the token has {principal.role.value}")
        return principal


Viewer = Annotated[Principal, Depends(_AtLeast(Role.VIEWER))]
Responder = Annotated[Principal, Depends(_AtLeast(Role.RESPONDER))]
Engineer = Annotated[Principal, Depends(_AtLeast(Role.ENGINEER))]
Admin = Annotated[Principal, Depends(_AtLeast(Role.ADMIN))]
Operator = Annotated[OperatorPrincipal, Depends(_operator)]


async def _tenant_transaction(request: Request, principal: AnyPrincipal) -> AsyncIterator[TenantSession]:
    async with tenant_session(request.app.state.resources.get(Database), principal.tenant_id) as session:
        yield session


# scope="function": the commit happens before the answer is sent; otherwise a 2xx could precede a failed commit.
TenantTx = Annotated[TenantSession, Depends(_tenant_transaction, scope="function")]


@dataclass(frozen=True)
class Write:
    """The frame of a write: who, in which transaction, when, and answered once for each Idempotency-Key."""

    request: Request
    principal: Principal
    session: TenantSession
    now: datetime

    @property
    def actor(self) -> Actor:
        return self.principal.actor

    @property
    def resources(self) -> Resources:
        resources: Resources = self.request.app.state.resources
        return resources

    async def answer(
        self,
        produce: Callable[[], Awaitable[BaseModel | None]],
        *,
        status: int = 200,
        without: frozenset[str] = frozenset(),
    ) -> Response:
        """This will run the write and answer with what it made, or repeat the first answer under the same key.

        Args:
            produce: Does the work and returns the answer's body, or None for an empty one.
            status: Status of the answer.
            without: Fields that are shown once: a repeated answer has null in them.
        """
        return await idempotent(
            self.request,
            self.session,
            principal_id=str(self.principal.token_id),
            now=self.now,
            produce=produce,
            status=status,
            without=without,
        )


def _responders(request: Request, principal: Responder, session: TenantTx, now: Now, key: KeyHeader = None) -> Write:
    return Write(request, principal, session, now)


def _engineers(request: Request, principal: Engineer, session: TenantTx, now: Now, key: KeyHeader = None) -> Write:
    return Write(request, principal, session, now)


def _admins(request: Request, principal: Admin, session: TenantTx, now: Now, key: KeyHeader = None) -> Write:
    return Write(request, principal, session, now)


ResponderWrite = Annotated[Write, Depends(_responders)]
EngineerWrite = Annotated[Write, Depends(_engineers)]
AdminWrite = Annotated[Write, Depends(_admins)]
