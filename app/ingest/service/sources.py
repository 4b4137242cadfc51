"""Making, changing and retiring sources."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.db.conflicts import refused_by
from app.db.tenancy import TenantSession
from app.incidents.schemas import Severity
from app.ingest.faults import first_fault
from app.ingest.models import SourceRefusalRow, SourceRow
from app.ingest.repository import sources as repository
from app.ingest.schemas import SourceState, SourceView
from app.ingest.service.proving import add_secret, choose_profile
from app.ingest.service.shown import CreatedSource, created, view
from app.ingest.sources import get_source as get_kind
from app.net.keyring import KeyRing


class SourceNotFound(NotFound):
    """No source of this id for this tenant."""

    code = "source.not_found"
    title = "No such source"


class SourceNameTaken(Conflict):
    """Two sources of one tenant cannot have one name."""

    code = "source.name_taken"
    title = "A source of this name exists"
    hint = "Choose another name, or change the existing source."


class SourceConfigInvalid(Invalid):
    """The settings do not fit the kind of source."""

    code = "source.config_invalid"
    title = "The settings of the source are not valid"


async def create_source(
    session: TenantSession,
    *,
    keyring: KeyRing,
    kind: str,
    name: str,
    actor: Actor,
    now: datetime,
    profile: str | Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    secret: str | None = None,
    severity_map: Mapping[str, Severity] | None = None,
    default_severity: Severity = Severity.P2,
    group_by: Sequence[str] = (),
    resolve_timeout_s: int | None = None,
) -> CreatedSource:
    """This will make a source with one secret and return both; the secret is not shown again.

    Raises:
        UnknownSourceKind: There is no such kind.
        ProfileNotFound: There is no such shipped profile.
        InvalidProfile: The profile of its own does not load, or gives the secret away.
        InvalidSecret: The given secret would protect nothing.
        SecretNotGenerated: The secret has to come from the sender.
        SourceConfigInvalid: The settings do not fit the kind.
        SourceNameTaken: The name is in use.
        SourceKeyTaken: The given secret is the key of another source.
    """
    of_kind = get_kind(kind)
    chosen = choose_profile(of_kind.profile if profile in (None, "") else profile, secret=secret)
    row = SourceRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        public_id=_new_public_id(),
        kind=of_kind.slug,
        name=name,
        profile=chosen.slug,
        config=checked_config(of_kind.config_model, config or {}),
        severity_map=_severities(severity_map or {}),
        default_severity=default_severity.value,
        group_by=list(group_by),
        resolve_timeout_s=resolve_timeout_s if resolve_timeout_s is not None else of_kind.resolve_timeout_s,
        state=SourceState.ACTIVE.value,
        created_at=now,
        updated_at=now,
    )
    async with _named(session, name):
        session.add(row)
    await chosen.keep(session, row, now)
    made = await add_secret(session, row, chosen.compiled, keyring, secret, now)
    await _record(session, row, "created", {"kind": row.kind, "name": name, **chosen.facts()}, actor, now)
    return created(row, chosen.compiled, made)


async def update_source(
    session: TenantSession, *, source_id: UUID, changes: Mapping[str, Any], actor: Actor, now: datetime
) -> SourceView:
    """This will change the named fields of a source.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
        SourceConfigInvalid: The settings do not fit the kind, or the state is not one to set.
        SourceNameTaken: The name is in use.
    """
    row = await get_source(session, source_id=source_id, lock=True)
    if changes.get("state") == SourceState.DELETED:
        raise SourceConfigInvalid("delete a source with DELETE")
    new = {name: _to_column(row, name, value) for name, value in changes.items()}
    async with _named(session, new.get("name", row.name)):
        for name, value in new.items():
            setattr(row, name, value)
        row.updated_at = now
    await _record(session, row, "changed", {"changed": sorted(changes), "name": row.name}, actor, now)
    return view(row)


async def delete_source(session: TenantSession, *, source_id: UUID, actor: Actor, now: datetime) -> None:
    """This will retire a source: its sender is told to stop, what it delivered stays.

    Raises:
        SourceNotFound: Not there, deleted before, or another tenant's.
    """
    row = await get_source(session, source_id=source_id, lock=True)
    row.state = SourceState.DELETED.value
    row.updated_at = now
    await session.flush()
    await repository.release_keys(session, source_id=row.id)
    await _record(session, row, "deleted", {"name": row.name}, actor, now)


async def get_source(session: TenantSession, *, source_id: UUID, lock: bool = False) -> SourceRow:
    """This will return a source that is not deleted.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
    """
    row = await repository.find_source(session, source_id=source_id, lock=lock)
    if row is None or row.state == SourceState.DELETED.value:
        raise SourceNotFound(source_id=str(source_id))
    return row


async def list_sources(
    session: TenantSession, *, kind: str | None = None, before: UUID | None = None, limit: int = 50
) -> list[SourceView]:
    """This will return sources, newest first."""
    rows = await repository.list_sources(session, kind=kind, before=before, limit=limit)
    return [view(row) for row in rows]


async def list_refusals(session: TenantSession, *, source_id: UUID, now: datetime) -> Sequence[SourceRefusalRow]:
    """This will return what was refused in the last 24 hours."""
    return await repository.list_refusals(session, source_id=source_id, now=now)


def checked_config(model: type[BaseModel], config: Mapping[str, Any]) -> dict[str, Any]:
    """This will return the settings as they are stored.

    Raises:
        SourceConfigInvalid: They do not fit.
    """
    try:
        return model.model_validate(config).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        raise SourceConfigInvalid(first_fault(error)) from None


async def _record(
    session: TenantSession, row: SourceRow, what: str, detail: dict[str, Any], actor: Actor, now: datetime
) -> None:
    await record(session, actor=actor, action=f"source.{what}", subject=f"source:{row.id}", detail=detail, now=now)


def _named(session: TenantSession, name: str) -> AbstractAsyncContextManager[None]:
    """Leave it to the constraint who gets the name."""
    return refused_by(session, "uq_sources_tenant_id_name", SourceNameTaken(f"there is a source named {name!r}"))


def _new_public_id() -> str:
    """128 random bits in 26 letters and digits."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def _severities(given: Mapping[str, Severity]) -> dict[str, str]:
    return {word.strip().lower()[:100]: Severity(value).value for word, value in given.items()}


def _to_column(row: SourceRow, name: str, value: Any) -> Any:
    if name == "config":
        return checked_config(get_kind(row.kind).config_model, value)
    if name == "severity_map":
        return _severities(value)
    if name in ("default_severity", "state"):
        return value.value
    return list(value) if name == "group_by" else value
