"""What a request's query may say to this domain's lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request

from app.auth.deps import Viewer
from app.core.errors import Invalid, NotFound


class UnknownParameter(Invalid):
    """A query parameter that this list does not have; ignoring it would answer another question."""

    code = "enhancement.unknown_parameter"
    title = "This list has no such parameter"


class NoSuchTenant(NotFound):
    """The tenant named in the query is not the token's; whether it exists is nobody's business."""

    code = "enhancement.no_such_tenant"
    title = "No such tenant"
    hint = "Leave tenant_id out; the token already says whose data is meant."


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
