"""Runbooks: the shipped ones, which nobody can change, and each tenant's own, versioned and never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from app.audit.service import record as audit
from app.core.actor import Actor
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.db.conflicts import refused_by
from app.db.tenancy import TenantSession
from app.remediation.actions import catalogue
from app.remediation.library import shipped
from app.remediation.models import RunbookRow
from app.remediation.repository import inventory
from app.remediation.rules.document import Document
from app.remediation.rules.loader import LoadedRunbook, load_runbook
from app.remediation.rules.text import RunbookRefused
from app.remediation.schemas import ProblemView, RunbookDetail, RunbookValidation, RunbookView


class RunbookNotFound(NotFound):
    """No shipped runbook and none of the tenant's has this name (and version)."""

    code = "runbook.not_found"
    title = "No such runbook"


class RunbookInvalid(Invalid):
    """The text is not a runbook that may run. ``problems`` in the answer says why, with lines."""

    code = "runbook.invalid"
    title = "The runbook was refused"


class RunbookNameReserved(Conflict):
    """A tenant's runbook must not pass for a shipped one."""

    code = "runbook.name_reserved"
    title = "A shipped runbook has this name"
    hint = "Copy it under another name."


class RunbookVersionExists(Conflict):
    """A version never changes."""

    code = "runbook.version_exists"
    title = "This version exists and differs"
    hint = "Raise 'version'."


async def validate_runbook(session: TenantSession, *, source: str) -> RunbookValidation:
    """This will say whether a text would be accepted."""
    try:
        loaded = load_runbook(source, catalogue=catalogue(), library=await library_of(session))
    except RunbookRefused as refused:
        return RunbookValidation(
            valid=False, problems=[ProblemView.model_validate(problem) for problem in refused.problems]
        )
    return RunbookValidation(
        valid=True,
        name=loaded.name,
        version=loaded.document.version,
        digest=loaded.digest,
        warnings=[ProblemView.model_validate(problem) for problem in loaded.warnings],
    )


async def create_runbook(session: TenantSession, *, source: str, actor: Actor, now: datetime) -> RunbookDetail:
    """This will store a version of a tenant's runbook; storing the same one again changes nothing.

    Raises:
        RunbookInvalid: The loader refused it.
        RunbookNameReserved: A shipped runbook has this name.
        RunbookVersionExists: This version exists with another content.
    """
    try:
        loaded = load_runbook(source, catalogue=catalogue(), library=await library_of(session))
    except RunbookRefused as refused:
        problems = [{"line": p.line, "path": p.path, "message": p.message} for p in refused.problems]
        raise RunbookInvalid(str(refused)[:4000], problems=problems) from None
    if loaded.name in shipped():
        raise RunbookNameReserved(f"{loaded.name!r} ships with Tocsin.")
    known = await inventory.find_runbook(session, name=loaded.name, version=loaded.document.version)
    if known is not None and known.digest == loaded.digest:
        return _detail(loaded, known.source, "tenant")
    if known is not None:
        raise RunbookVersionExists(f"Version {known.version} of {known.name!r} is {known.digest[:12]}.")
    await _store(session, loaded, source, actor, now)
    return _detail(loaded, source, "tenant")


async def find_runbook(session: TenantSession, *, name: str, version: int | None = None) -> LoadedRunbook:
    """This will return a runbook that may run.

    Raises:
        RunbookNotFound: There is none of this name and version.
    """
    loaded, _, _ = await _find(session, name, version)
    return loaded


async def get_runbook(session: TenantSession, *, name: str, version: int | None = None) -> RunbookDetail:
    """This will return a runbook with its text.

    Raises:
        RunbookNotFound: There is none of this name and version.
    """
    loaded, source, origin = await _find(session, name, version)
    return _detail(loaded, source, origin)


async def list_runbooks(session: TenantSession) -> list[RunbookView]:
    """This will return the newest version of each runbook there is, by name."""
    views = [_view(entry.loaded, "shipped") for entry in shipped().values()]
    views += [_view(_loaded(row), "tenant") for row in await inventory.newest_runbooks(session)]
    return sorted(views, key=lambda view: view.name)


async def library_of(session: TenantSession) -> dict[str, Document]:
    """This will return everything that ``use`` may name."""
    library = {row.name: Document.model_validate(row.document) for row in await inventory.newest_runbooks(session)}
    return library | {name: entry.loaded.document for name, entry in shipped().items()}


async def _find(
    session: TenantSession, name: str, version: int | None
) -> tuple[LoadedRunbook, str, Literal["shipped", "tenant"]]:
    entry = shipped().get(name)
    if entry is not None and version in (None, entry.loaded.document.version):
        return entry.loaded, entry.source, "shipped"
    row = await inventory.find_runbook(session, name=name, version=version)
    if row is None:
        wanted = f"{name} version {version}" if version is not None else name
        raise RunbookNotFound(f"There is no runbook {wanted}.")
    return _loaded(row), row.source, "tenant"


async def _store(session: TenantSession, loaded: LoadedRunbook, source: str, actor: Actor, now: datetime) -> None:
    row = RunbookRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        name=loaded.name,
        version=loaded.document.version,
        digest=loaded.digest,
        document=loaded.canonical(),
        source=source,
        created_by=actor.id,
        created_at=now,
    )
    stored = RunbookVersionExists(f"Version {row.version} of {row.name!r} was stored by somebody else just now.")
    async with refused_by(session, "uq_runbooks_tenant_id_name_version", stored):
        session.add(row)
    detail = {"version": loaded.document.version, "digest": loaded.digest}
    await audit(
        session, actor=actor, action="runbook.created", subject=f"runbook:{loaded.name}", detail=detail, now=now
    )


def _loaded(row: RunbookRow) -> LoadedRunbook:
    return LoadedRunbook(Document.model_validate(row.document), row.digest, ())


def _view(loaded: LoadedRunbook, origin: Literal["shipped", "tenant"]) -> RunbookView:
    document = loaded.document
    return RunbookView(
        name=document.runbook,
        version=document.version,
        about=document.about,
        not_for=document.not_for,
        digest=loaded.digest,
        origin=origin,
        targets={slot: target.kind for slot, target in document.targets.items()},
        inputs={name: declared.model_dump(mode="json") for name, declared in document.inputs.items()},
    )


def _detail(loaded: LoadedRunbook, source: str, origin: Literal["shipped", "tenant"]) -> RunbookDetail:
    return RunbookDetail(**_view(loaded, origin).model_dump(), source=source, document=loaded.canonical())
