"""``tocsin audit``: prove that the trail is whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from app.audit.service import VerifyReport


app = typer.Typer(help="Check the audit trail.", no_args_is_help=True, add_completion=False)


@app.callback()
def _group() -> None:
    """Check the audit trail."""


@app.command()
def verify(
    tenant: Annotated[UUID | None, typer.Option(help="One tenant; every tenant by default.")] = None,
) -> None:
    """Walk each tenant's hash chain; exits 1 when an entry is missing, changed or cut off."""
    if not asyncio.run(_verify(tenant)):
        raise typer.Exit(1)


def _in_words(report: VerifyReport) -> str:
    if report.broken is not None:
        return f"BROKEN, {report.broken}"
    return f"whole, {report.entries} entries, the last with hash {report.head.hex()}"


async def _verify(only: UUID | None) -> bool:
    from app.audit.service import verify_chain
    from app.core.ids import TenantId
    from app.db.engine import Database
    from app.db.system import system_session
    from app.db.tenancy import tenant_session
    from app.settings import Settings
    from app.tenants.service import list_tenants

    database, whole, after = Database.from_settings(Settings().database), True, None
    try:
        while True:
            if only is None:
                async with system_session(database, reason="cli.audit_verify") as session:
                    page = [(row.id, row.slug) for row in await list_tenants(session, after=after, limit=500)]
            else:
                page = [(only, str(only))]
            for tenant_id, name in page:
                async with tenant_session(database, TenantId(tenant_id)) as tenant:
                    report = await verify_chain(tenant)
                whole = whole and report.ok
                typer.echo(f"{name}: {_in_words(report)}")
            if only is not None or len(page) < 500:
                return whole
            after = page[-1][0]
    finally:
        await database.dispose()
