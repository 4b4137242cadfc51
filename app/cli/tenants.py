"""``tocsin tenant``: make, list, isolate and restore tenants, on the machine itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from app.cli.jobs import ACTOR, in_tenant, now
from app.cli.tables import listing, show_table

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession

app = typer.Typer(help="Make, list, isolate and restore tenants.", no_args_is_help=True, add_completion=False)


@app.command()
def create(
    slug: Annotated[str, typer.Argument(help="3 to 40 lower-case letters, digits and hyphens.")],
    name: Annotated[str, typer.Option(help="Name for people; the slug by default.")] = "",
) -> None:
    """Make a tenant and print its id and first admin token, once."""
    from app.auth.rules import Role
    from app.auth.service import create_token, pepper_of
    from app.core.ids import new_id
    from app.settings import Settings
    from app.tenants.service import create_tenant

    tenant_id = new_id()

    async def work(session: TenantSession) -> None:
        await create_tenant(session, slug=slug, name=name or slug, actor=ACTOR, now=now())
        created = await create_token(
            session,
            pepper=pepper_of(Settings()),
            name="first admin",
            role=Role.ADMIN,
            expires_at=None,
            actor=ACTOR,
            now=now(),
        )
        typer.echo(f"tenant: {tenant_id}\nadmin token (shown this once): {created.text}")

    in_tenant(tenant_id, work)


@app.command("list")
def list_tenants(limit: Annotated[int, typer.Option(min=1, max=1000)] = 200) -> None:
    """List tenants in order of creation."""
    from app.db.engine import Database
    from app.db.system import system_session
    from app.settings import Settings
    from app.tenants.service import list_tenants as find

    async def run() -> None:
        database = Database.from_settings(Settings().database)
        try:
            async with system_session(database, reason="cli.list_tenants") as session:
                rows = await find(session, after=None, limit=limit)
        finally:
            await database.dispose()
        table = listing("id", "slug", "name", "state", "created")
        for row in rows:
            table.add_row(str(row.id), row.slug, row.name, row.state, row.created_at.isoformat(timespec="seconds"))
        show_table(table)

    asyncio.run(run())


Tenant = Annotated[UUID, typer.Argument(help="The tenant's id.")]
Reason = Annotated[str, typer.Option(help="Kept in the audit trail.")]


@app.command()
def isolate(tenant: Tenant, reason: Reason) -> None:
    """Cut a tenant off: tokens, senders and jobs stop, every row stays as evidence."""
    from app.tenants.service import isolate_tenant

    async def work(session: TenantSession) -> None:
        await isolate_tenant(session, reason=reason, actor=ACTOR, now=now())
        typer.echo(f"tenant {tenant} is isolated")

    in_tenant(tenant, work)


@app.command()
def restore(tenant: Tenant, reason: Reason) -> None:
    """Let an isolated tenant back in."""
    from app.tenants.service import restore_tenant

    async def work(session: TenantSession) -> None:
        await restore_tenant(session, reason=reason, actor=ACTOR, now=now())
        typer.echo(f"tenant {tenant} is active")

    in_tenant(tenant, work)
