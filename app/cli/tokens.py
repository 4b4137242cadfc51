"""``tocsin token``: make, list and revoke API tokens, on the machine itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import typer

from app.auth.rules import Role
from app.cli.jobs import ACTOR, Tenant, in_tenant, now
from app.cli.tables import listing, show_table

if TYPE_CHECKING:
    from app.db.system import SystemSession
    from app.db.tenancy import TenantSession

T = TypeVar("T")

app = typer.Typer(help="Make, list and revoke API tokens.", no_args_is_help=True, add_completion=False)

Days = Annotated[int, typer.Option("--days", min=0, help="Days until it expires; 0 for never.")]


@app.command()
def create(
    tenant: Tenant,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[Role, typer.Option(help="What it may do; each role includes the one before it.")] = Role.VIEWER,
    days: Days = 90,
) -> None:
    """Make a token and print it, once."""
    from app.auth.service import create_token, pepper_of
    from app.settings import Settings

    async def work(session: TenantSession) -> None:
        expires_at = now() + timedelta(days=days) if days else None
        created = await create_token(
            session, pepper=pepper_of(Settings()), name=name, role=role, expires_at=expires_at, actor=ACTOR, now=now()
        )
        typer.echo(f"id: {created.row.id}\ntoken (shown this once): {created.text}")

    in_tenant(tenant, work)


@app.command("list")
def list_tokens(tenant: Tenant) -> None:
    """List a tenant's tokens, newest first; never their text."""
    from app.auth.service import list_tokens as find

    async def work(session: TenantSession) -> None:
        table = listing("id", "name", "role", "prefix", "expires", "revoked")
        for row in await find(session, before=None, limit=200):
            ends = [
                moment.isoformat(timespec="seconds") if moment else "" for moment in (row.expires_at, row.revoked_at)
            ]
            table.add_row(str(row.id), row.name, row.role, row.prefix, *ends)
        show_table(table)

    in_tenant(tenant, work)


@app.command()
def revoke(tenant: Tenant, token_id: Annotated[UUID, typer.Argument(help="The token's id.")]) -> None:
    """End a token; running processes notice within five seconds."""
    from app.auth.service import revoke_token

    async def work(session: TenantSession) -> None:
        await revoke_token(session, token_id=token_id, actor=ACTOR, now=now())
        typer.echo(f"token {token_id} is revoked")

    in_tenant(tenant, work)


@app.command("create-operator")
def create_operator(name: Annotated[str, typer.Argument(help="Who will use it.")], days: Days = 90) -> None:
    """Make a platform operator's token: it administers tenants and sees no tenant's data."""
    from app.auth.service import create_operator_token, pepper_of
    from app.settings import Settings

    expires_at = now() + timedelta(days=days) if days else None

    async def work(session: SystemSession) -> tuple[UUID, str]:
        return await create_operator_token(session, pepper=pepper_of(Settings()), name=name, expires_at=expires_at)

    token_id, token = _as_system("cli.create_operator_token", work)
    typer.echo(f"id: {token_id}\noperator token (shown this once): {token}")


@app.command("list-operators")
def list_operators() -> None:
    """List platform operators' tokens, newest first; never their text."""
    from app.auth.service import list_operator_tokens

    table = listing("id", "name", "created", "expires", "revoked")
    for row in _as_system("cli.list_operator_tokens", lambda session: list_operator_tokens(session, limit=200)):
        moments = (row.created_at, row.expires_at, row.revoked_at)
        table.add_row(str(row.id), row.name, *(m.isoformat(timespec="seconds") if m else "" for m in moments))
    show_table(table)


@app.command("revoke-operator")
def revoke_operator(token_id: Annotated[UUID, typer.Argument(help="The operator token's id.")]) -> None:
    """End a platform operator's token; running processes notice within five seconds."""
    from app.auth.service import revoke_operator_token

    _as_system(
        "cli.revoke_operator_token", lambda session: revoke_operator_token(session, token_id=token_id, now=now())
    )
    typer.echo(f"operator token {token_id} is revoked")


def _as_system(reason: str, work: Callable[[SystemSession], Awaitable[T]]) -> T:
    from app.core.errors import TocsinError
    from app.db.engine import Database
    from app.db.system import system_session
    from app.settings import Settings

    async def run() -> T:
        database = Database.from_settings(Settings().database)
        try:
            async with system_session(database, reason=reason) as session:
                return await work(session)
        finally:
            await database.dispose()

    try:
        return asyncio.run(run())
    except TocsinError as error:
        typer.secho(f"{error.title}: {error.detail}. {error.hint}".strip(), fg="red", err=True)
        raise typer.Exit(1) from None
