"""Making tenants, listing them, cutting one off and letting it back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict, Forbidden, Invalid, NotFound
from app.db.conflicts import refused_by
from app.db.system import SystemSession
from app.db.tenancy import TenantSession
from app.tenants import repository
from app.tenants.models import TenantRow
from app.tenants.repository import TenantFacts
from app.tenants.rules import TenantState, is_slug


class TenantNotFound(NotFound):
    """No tenant of this id."""

    code = "tenant.not_found"
    title = "No such tenant"


class TenantIsolated(Forbidden):
    """The tenant was cut off, to stop harm or to keep evidence."""

    code = "auth.tenant_isolated"
    title = "This tenant is isolated"
    hint = "Ask the platform's operator to lift the isolation."


class SlugTaken(Conflict):
    """Another tenant has this slug."""

    code = "tenant.slug_taken"
    title = "This slug is taken"
    hint = "Choose another slug."


class SlugInvalid(Invalid):
    """The slug has the wrong shape."""

    code = "tenant.slug_invalid"
    title = "The slug is not valid"
    hint = "Use 3 to 40 lower-case letters, digits and hyphens; begin with a letter and end without a hyphen."


async def create_tenant(session: TenantSession, *, slug: str, name: str, actor: Actor, now: datetime) -> TenantRow:
    """This will make the tenant whose transaction this is; the caller chose its id with ``new_id()``.

    Raises:
        SlugInvalid: The slug has the wrong shape.
        SlugTaken: It is another tenant's.
    """
    if not is_slug(slug):
        raise SlugInvalid
    row = TenantRow(id=session.tenant_id, slug=slug, name=name, state=TenantState.ACTIVE.value, created_at=now)
    async with refused_by(session, "uq_tenants_slug", SlugTaken()):
        session.add(row)
    await record(
        session, actor=actor, action="tenant.created", subject=f"tenant:{row.id}", detail={"slug": slug}, now=now
    )
    return row


async def list_tenants(session: SystemSession, *, after: UUID | None, limit: int) -> Sequence[TenantFacts]:
    """This will return tenants in order of creation."""
    return await repository.list_all(session, after=after, limit=limit)


async def get_tenant(session: TenantSession) -> TenantRow:
    """This will return the tenant whose transaction this is.

    Raises:
        TenantNotFound: There is none.
    """
    row = await repository.find_own(session)
    if row is None or row.state == TenantState.DELETED:
        raise TenantNotFound
    return row


async def isolate_tenant(session: TenantSession, *, reason: str, actor: Actor, now: datetime) -> TenantRow:
    """This will cut the tenant off: its tokens and senders are refused, its rows stay as evidence (E9).

    Raises:
        TenantNotFound: There is none.
    """
    return await _change(session, TenantState.ISOLATED, reason=reason, actor=actor, now=now)


async def restore_tenant(session: TenantSession, *, reason: str, actor: Actor, now: datetime) -> TenantRow:
    """This will let an isolated tenant back in.

    Raises:
        TenantNotFound: There is none.
    """
    return await _change(session, TenantState.ACTIVE, reason=reason, actor=actor, now=now)


async def _change(session: TenantSession, state: TenantState, *, reason: str, actor: Actor, now: datetime) -> TenantRow:
    row = await get_tenant(session)
    if row.state != state:
        detail = {"from": row.state, "to": state.value, "reason": reason}
        row.state = state.value
        await session.flush()
        await repository.hold_jobs(session, held=state is TenantState.ISOLATED)
        action = "tenant.isolated" if state is TenantState.ISOLATED else "tenant.restored"
        await record(session, actor=actor, action=action, subject=f"tenant:{row.id}", detail=detail, now=now)
    return row
