"""The inventory: what runbooks may work on, with credentials that only leave for a call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import SecretStr, ValidationError

from app.audit.service import record as audit
from app.core.actor import Actor
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.db.conflicts import refused_by
from app.db.tenancy import TenantSession
from app.net.keyring import KeyRing
from app.remediation.contract import ActionTarget
from app.remediation.models import TargetRow
from app.remediation.repository import inventory, ledger
from app.remediation.rules.connections import TARGET_KINDS, Connection
from app.remediation.rules.loader import digest
from app.remediation.rules.plan import PlannedTarget
from app.remediation.schemas import TargetIn, TargetView


class TargetNotFound(NotFound):
    """No such target in this tenant."""

    code = "target.not_found"
    title = "No such target"


class TargetNameTaken(Conflict):
    """Names are what rules and runs refer to, so they are unique."""

    code = "target.name_taken"
    title = "There is a target of this name"


class TargetInUse(Conflict):
    """A run works on it, or a rule names it."""

    code = "target.in_use"
    title = "The target is in use"


class ConnectionInvalid(Invalid):
    """The connection lacks something that its kind needs, or leads elsewhere and its secret is not named again."""

    code = "target.connection_invalid"
    title = "The connection does not fit the target's kind"


async def create_target(
    session: TenantSession, *, target: TargetIn, keyring: KeyRing, actor: Actor, now: datetime
) -> TargetView:
    """This will add a target to the inventory.

    Raises:
        TargetNameTaken: There is one of this name.
        ConnectionInvalid: The connection does not fit its kind.
    """
    row = TargetRow(tenant_id=session.tenant_id, id=new_id(), created_at=now)
    await _fill(session, row, target, keyring, now)
    await _audit(session, row, "target.created", actor, now)
    return view_target(row)


async def replace_target(
    session: TenantSession, *, target_id: UUID, target: TargetIn, keyring: KeyRing, actor: Actor, now: datetime
) -> TargetView:
    """This will replace a target; its secret stays when none is given and the target stays where it is.

    Raises:
        TargetNotFound: No such target.
        TargetNameTaken: Another one has this name.
        ConnectionInvalid: The connection does not fit its kind, or changes while the secret is not named again.
    """
    # One at a time: else a new address and, from another request, the real secret could meet in one row.
    await ledger.serialise_target(session, target_id)
    row = await _get(session, target_id)
    _refuse_to_take_along(row, target)
    await _fill(session, row, target, keyring, now)
    await _audit(session, row, "target.changed", actor, now)
    return view_target(row)


async def delete_target(session: TenantSession, *, target_id: UUID, actor: Actor, now: datetime) -> None:
    """This will remove a target.

    Raises:
        TargetNotFound: No such target.
        TargetInUse: A run works on it, or a rule names it.
    """
    row = await _get(session, target_id)
    await ledger.serialise_target(session, target_id)
    holder = await ledger.holder_of(session, target_id)
    if holder is not None:
        raise TargetInUse(f"The run {holder} works on it.")
    if rules := await inventory.rules_that_use(session, row.name):
        raise TargetInUse(f"These rules name it: {', '.join(rules[:10])}.")
    await _audit(session, row, "target.deleted", actor, now)
    await session.delete(row)
    await session.flush()


async def get_target(session: TenantSession, *, target_id: UUID) -> TargetView:
    """This will return one target, without its secret.

    Raises:
        TargetNotFound: No such target.
    """
    return view_target(await _get(session, target_id))


async def list_targets(session: TenantSession, *, before: UUID | None, limit: int) -> list[TargetView]:
    """This will return targets, newest first."""
    return [view_target(row) for row in await inventory.page_of_targets(session, before=before, limit=limit)]


async def open_target(session: TenantSession, *, target_id: UUID, keyring: KeyRing | None) -> ActionTarget:
    """This will return a target with its credential in the clear, for one call; without a key ring, without it.

    Raises:
        TargetNotFound: It was removed meanwhile.
    """
    row = await _get(session, target_id)
    secret = None
    if row.secret is not None and keyring is not None:
        secret = keyring.decrypt(row.secret, context=_context(row))
    return ActionTarget(
        id=row.id,
        name=row.name,
        kind=row.kind,
        environment=row.environment,
        labels=row.labels,
        connection=_connection(row.kind, row.connection),
        secret=SecretStr(secret.decode()) if secret is not None else None,
    )


def plan_target(row: TargetRow) -> PlannedTarget:
    """This will return what a plan keeps of a target: no connection and no secret, but a fingerprint of both."""
    return PlannedTarget(
        id=row.id,
        name=row.name,
        kind=row.kind,
        environment=row.environment,
        owner=row.owner,
        labels=row.labels,
        fingerprint=fingerprint_of(row),
    )


def fingerprint_of(row: TargetRow) -> str:
    """This will return a digest of what the target is; a rotated secret does not make it another one."""
    return digest({"kind": row.kind, "connection": row.connection, "environment": row.environment})


def view_target(row: TargetRow) -> TargetView:
    return TargetView(
        id=row.id,
        name=row.name,
        kind=row.kind,
        environment=row.environment,
        owner=row.owner,
        labels=row.labels,
        connection=row.connection,
        has_secret=row.secret is not None,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def _get(session: TenantSession, target_id: UUID) -> TargetRow:
    row = await inventory.find_target(session, target_id)
    if row is None:
        raise TargetNotFound(f"There is no target {target_id}.")
    return row


async def _fill(session: TenantSession, row: TargetRow, target: TargetIn, keyring: KeyRing, now: datetime) -> None:
    connection = _connection(target.kind, target.connection)
    taken = TargetNameTaken(f"There is a target called {target.name!r}.")
    async with refused_by(session, "uq_targets_tenant_id_name", taken):
        row.name, row.kind, row.environment, row.owner = target.name, target.kind, target.environment, target.owner
        row.labels, row.connection = dict(target.labels), connection.model_dump(mode="json")
        row.updated_at = now
        if target.secret is not None:
            row.secret = keyring.encrypt(target.secret.get_secret_value().encode(), context=_context(row))
        session.add(row)


def _refuse_to_take_along(row: TargetRow, target: TargetIn) -> None:
    """This will refuse a change that would send the stored secret to another place, or there in another way.

    Whoever may change targets may not read their secrets: not even by having one sent to a host of his own, or
    without TLS.
    """
    connection = _connection(target.kind, target.connection).model_dump(mode="json")
    moves = (row.kind, row.connection) != (target.kind, connection)
    if moves and row.secret is not None and target.secret is None:
        raise ConnectionInvalid("The kind or the connection changes, so the secret has to be given again.")


def _connection(kind: str, value: Mapping[str, Any]) -> Connection:
    try:
        return TARGET_KINDS[kind].model_validate(dict(value))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise ConnectionInvalid(problems) from None


def _context(row: TargetRow) -> str:
    return f"target:{row.tenant_id}:{row.id}"


async def _audit(session: TenantSession, row: TargetRow, action: str, actor: Actor, now: datetime) -> None:
    detail = {"name": row.name, "kind": row.kind, "connection": row.connection, "has_secret": row.secret is not None}
    await audit(session, actor=actor, action=action, subject=f"target:{row.id}", detail=detail, now=now)
