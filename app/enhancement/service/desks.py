"""The tenant's ticket systems. Keys are encrypted for the one row they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.audit.service import record as audit
from app.core.actor import Actor
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import TenantId, new_id
from app.db.conflicts import refused_by
from app.db.tenancy import TenantSession
from app.enhancement.contract import DeskAccess
from app.enhancement.models import DeskRow
from app.enhancement.repository import records
from app.enhancement.schemas import DeskView
from app.enhancement.service.catalogue import get_desk_kind
from app.net.keyring import KeyRing


class DeskNotFound(NotFound):
    """No desk with that id in this tenant."""

    code = "enhancement.desk_not_found"
    title = "No such desk"


class DeskNameTaken(Conflict):
    """Names tell desks apart."""

    code = "enhancement.desk_name_taken"
    title = "A desk with that name exists"


class DeskSourceNotFound(NotFound):
    """The desk was to be bound to a webhook source that this tenant does not have."""

    code = "enhancement.desk_source_not_found"
    title = "No such source"


class DeskOptionsInvalid(Invalid):
    """The kind of desk does not know these options."""

    code = "enhancement.desk_options_invalid"
    title = "The desk's options are not valid"


async def create_desk(
    session: TenantSession,
    *,
    keyring: KeyRing,
    kind: str,
    name: str,
    base_url: str,
    secret: str,
    actor: Actor,
    now: datetime,
    options: Mapping[str, Any] | None = None,
    source_id: UUID | None = None,
    allows_model: bool = True,
) -> DeskView:
    """This will add a ticket system.

    Raises:
        UnknownDeskKind: No plug-in of that kind.
        DeskNameTaken: The tenant has a desk of that name.
        DeskOptionsInvalid: The kind refuses the options.
        DeskSourceNotFound: No such source in this tenant.
    """
    checked = _checked_options(kind, options or {})
    desk_id = new_id()
    row = DeskRow(
        tenant_id=session.tenant_id,
        id=desk_id,
        kind=kind,
        name=name,
        base_url=base_url.rstrip("/"),
        secret=keyring.encrypt(secret.encode(), context=_context(session.tenant_id, desk_id)),
        options=checked,
        source_id=source_id,
        allows_model=allows_model,
        enabled=True,
        created_at=now,
        updated_at=now,
    )
    no_source = DeskSourceNotFound(f"There is no source {source_id}.")
    async with refused_by(session, "fk_desks_source", no_source), _name_of_its_own(session, name):
        session.add(row)
    detail = {"kind": kind, "name": name, "base_url": row.base_url, "allows_model": allows_model}
    await audit(session, actor=actor, action="desk.created", subject=f"desk:{desk_id}", detail=detail, now=now)
    return view_desk(row)


async def change_desk(
    session: TenantSession,
    *,
    keyring: KeyRing,
    desk_id: UUID,
    changes: Mapping[str, Any],
    secret: str | None,
    actor: Actor,
    now: datetime,
) -> DeskView:
    """This will change what is given; a new address must come with the key, or the old key would go to it.

    Raises:
        DeskNotFound: No such desk.
        DeskNameTaken: Another desk has the name.
        DeskOptionsInvalid: The kind refuses the options, or the address changes without a key.
    """
    row = await _get(session, desk_id)
    moved = "base_url" in changes and changes["base_url"].rstrip("/") != row.base_url
    if moved and secret is None:
        raise DeskOptionsInvalid("A new base_url needs the secret again.")
    async with _name_of_its_own(session, changes.get("name", row.name)):
        for field, value in changes.items():
            setattr(row, field, _clean(row.kind, field, value))
        if secret is not None:
            row.secret = keyring.encrypt(secret.encode(), context=_context(session.tenant_id, row.id))
        row.updated_at = now
    detail = {"changed": sorted([*changes, *(["secret"] if secret is not None else [])])}
    await audit(session, actor=actor, action="desk.changed", subject=f"desk:{desk_id}", detail=detail, now=now)
    return view_desk(row)


async def delete_desk(session: TenantSession, *, desk_id: UUID, actor: Actor, now: datetime) -> None:
    """This will remove the desk and its key; its tickets stay searchable.

    Raises:
        DeskNotFound: No such desk.
    """
    row = await _get(session, desk_id)
    name = row.name
    await records.release_desk(session, desk_id)
    await audit(session, actor=actor, action="desk.deleted", subject=f"desk:{desk_id}", detail={"name": name}, now=now)


async def get_desk(session: TenantSession, *, desk_id: UUID) -> DeskView:
    """This will return one desk.

    Raises:
        DeskNotFound: No such desk.
    """
    return view_desk(await _get(session, desk_id))


async def list_desks(session: TenantSession, *, before: UUID | None, limit: int) -> list[DeskView]:
    """This will return desks, newest first."""
    return [view_desk(row) for row in await records.page_of_desks(session, before=before, limit=limit)]


def open_desk(row: DeskRow, *, keyring: KeyRing, timeout_s: float) -> DeskAccess:
    """This will decrypt the key for one use."""
    secret = keyring.decrypt(row.secret, context=_context(TenantId(row.tenant_id), row.id))
    return DeskAccess(base_url=row.base_url, secret=secret.decode(), options=row.options, timeout_s=timeout_s)


def view_desk(row: DeskRow) -> DeskView:
    """This will return what may be shown of a desk."""
    return DeskView(
        id=row.id,
        kind=row.kind,
        name=row.name,
        base_url=row.base_url,
        options=row.options,
        source_id=row.source_id,
        allows_model=row.allows_model,
        enabled=row.enabled,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _name_of_its_own(session: TenantSession, name: str) -> AbstractAsyncContextManager[None]:
    return refused_by(session, "uq_desks_tenant_id_name", DeskNameTaken(f"Choose another name than {name!r}."))


async def _get(session: TenantSession, desk_id: UUID) -> DeskRow:
    row = await records.find_desk(session, desk_id)
    if row is None:
        raise DeskNotFound(f"There is no desk {desk_id}.")
    return row


def _clean(kind: str, field: str, value: Any) -> Any:
    if field == "options":
        return _checked_options(kind, value)
    return value.rstrip("/") if field == "base_url" else value


def _checked_options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return get_desk_kind(kind).options.model_validate(dict(options)).model_dump(mode="json")
    except ValidationError as error:
        fields = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors())
        raise DeskOptionsInvalid(f"Not accepted: {fields}.") from None


def _context(tenant_id: TenantId, desk_id: UUID) -> str:
    return f"desk:{tenant_id}:{desk_id}"
