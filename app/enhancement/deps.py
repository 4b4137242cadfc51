"""The frames of this domain's endpoints: who writes, in which transaction, with which keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel

from app.auth.deps import Engineer, Principal, Responder, TenantTx, Viewer
from app.core.actor import Actor
from app.core.errors import Invalid, NotFound
from app.http.clock import Now
from app.http.idempotency import KeyHeader, idempotent
from app.net.keyring import KeyRing


class UnknownParameter(Invalid):
    """A query parameter that this list does not have; ignoring it would answer another question."""

    code = "enhancement.unknown_parameter"
    title = "This list has no such parameter"


class NoSuchTenant(NotFound):
    """The tenant named in the query is not the token's; whether it exists is nobody's business."""

    code = "enhancement.no_such_tenant"
    title = "No such tenant"
    hint = "Leave tenant_id out; the token already says whose data is meant."


class WriteFrame:
    """A write: answered once for each Idempotency-Key."""

    def __init__(self, request: Request, principal: Principal, session: TenantTx, now: Now) -> None:
        self.request = request
        self.principal = principal
        self.session = session
        self.now = now

    @property
    def actor(self) -> Actor:
        return self.principal.actor

    @property
    def keyring(self) -> KeyRing:
        keyring: KeyRing = self.request.app.state.resources.get(KeyRing)
        return keyring

    async def answer(self, produce: Callable[[], Awaitable[BaseModel]], *, status: int = 200) -> Response:
        """This will run the write and answer with its result, or repeat an earlier answer."""
        return await idempotent(
            self.request,
            self.session,
            principal_id=str(self.principal.token_id),
            now=self.now,
            produce=produce,
            status=status,
        )


def _for_engineer(
    request: Request, principal: Engineer, session: TenantTx, now: Now, key: KeyHeader = None
) -> WriteFrame:
    return WriteFrame(request, principal, session, now)


def _for_responder(
    request: Request, principal: Responder, session: TenantTx, now: Now, key: KeyHeader = None
) -> WriteFrame:
    return WriteFrame(request, principal, session, now)


EngineerWrite = Annotated[WriteFrame, Depends(_for_engineer)]
ResponderWrite = Annotated[WriteFrame, Depends(_for_responder)]


def only_parameters(*names: str) -> Callable[[Request], None]:
    """This will refuse query parameters other than these and those of paging."""
    known = {*names, "cursor", "limit"}

    def check(request: Request) -> None:
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            raise UnknownParameter(f"Unknown: {', '.join(unknown)[:200]}. Known: {', '.join(sorted(known))}.")

    return check


def own_tenant(
    principal: Viewer,
    tenant_id: Annotated[UUID | None, Query(description="The token's own tenant; may be left out.")] = None,
) -> None:
    """This will accept the operations guides' ``tenant_id`` where it is the caller's own."""
    if tenant_id is not None and tenant_id != principal.tenant_id:
        raise NoSuchTenant(f"There is no tenant {tenant_id}.")
