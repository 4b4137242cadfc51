"""The frame of an operator's write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from app.auth.deps import Operator, OperatorPrincipal
from app.core.actor import Actor
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.http.clock import Now
from app.http.idempotency import KeyHeader, idempotent


@dataclass(frozen=True)
class _OperatorWrite:
    """Who writes and when, in the tenant's own transaction, answered once for each Idempotency-Key."""

    request: Request
    operator: OperatorPrincipal
    now: datetime

    @property
    def actor(self) -> Actor:
        return self.operator.actor

    @property
    def resources(self) -> Resources:
        resources: Resources = self.request.app.state.resources
        return resources

    async def answer(self, tenant_id: UUID, produce: Callable[[TenantSession], Awaitable[BaseModel]]) -> Response:
        """This will run the write on the tenant and answer with what it made, or repeat the first answer."""
        async with tenant_session(self.resources.get(Database), TenantId(tenant_id)) as session:
            return await idempotent(
                self.request,
                session,
                principal_id=str(self.operator.token_id),
                now=self.now,
                produce=lambda: produce(session),
            )


async def _write(request: Request, operator: Operator, now: Now, key: KeyHeader = None) -> _OperatorWrite:
    return _OperatorWrite(request, operator, now)


OperatorWrite = Annotated[_OperatorWrite, Depends(_write)]
