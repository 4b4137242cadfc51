"""``tocsin source``: the doors for senders, and what became of what came in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from app.cli.jobs import ACTOR, Tenant, in_tenant
from app.db.tenancy import TenantSession

if TYPE_CHECKING:
    from app.ingest.service import CreatedSource
    from app.net.keyring import KeyRing

app = typer.Typer(help="Create, list and rotate sources; show receipts.", no_args_is_help=True)
receipt_app = typer.Typer(help="What became of a delivery.", no_args_is_help=True)
app.add_typer(receipt_app, name="receipt")

SourceId = Annotated[UUID, typer.Argument(help="The source's id.")]


@app.command()
def create(
    tenant: Tenant,
    kind: Annotated[str, typer.Argument(help="alertmanager, servicedesk or generic.")],
    name: Annotated[str, typer.Argument(help="Unique within the tenant.")],
    profile: Annotated[str | None, typer.Option(help="Signature profile; the kind's own by default.")] = None,
    secret: Annotated[
        str | None,
        typer.Option(envvar="TOCSIN_SOURCE_SECRET", help="Yours; without it one is made. Prefer the variable."),
    ] = None,
    config: Annotated[str, typer.Option(help="Settings of the kind, as JSON.")] = "{}",
) -> None:
    """Create a source and print its URL and secret, this once."""
    from app.ingest import service

    async def work(session: TenantSession) -> None:
        created = await service.create_source(
            session,
            keyring=_keyring(),
            kind=kind,
            name=name,
            profile=profile,
            config=_parse_config(config),
            secret=secret,
            actor=ACTOR,
            now=_now(),
        )
        _show_secret(created)

    in_tenant(tenant, work)


@app.command("list")
def list_sources(tenant: Tenant, limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List sources, newest first."""
    from app.ingest import service

    async def work(session: TenantSession) -> None:
        table = Table("id", "kind", "name", "profile", "strength", "state", "path")
        for source in await service.list_sources(session, limit=limit):
            table.add_row(
                str(source.id),
                source.kind,
                source.name,
                source.profile,
                source.strength,
                source.state.value,
                source.url_path,
            )
        Console().print(table)

    in_tenant(tenant, work)


@app.command("rotate-secret")
def rotate_secret(
    tenant: Tenant,
    source_id: SourceId,
    overlap_s: Annotated[int, typer.Option(min=0, help="Seconds for which the previous secret stays valid.")] = 86_400,
) -> None:
    """Make a new secret and print it, this once."""
    from app.ingest import service

    async def work(session: TenantSession) -> None:
        created = await service.rotate_secret(
            session,
            keyring=_keyring(),
            source_id=source_id,
            overlap=timedelta(seconds=overlap_s),
            actor=ACTOR,
            now=_now(),
        )
        _show_secret(created)

    in_tenant(tenant, work)


@receipt_app.command("show")
def show_receipt(
    tenant: Tenant, receipt_id: Annotated[UUID, typer.Argument(help="The id that the intake route answered.")]
) -> None:
    """Show what became of a delivery."""
    from app.ingest import service

    async def work(session: TenantSession) -> None:
        receipt = await service.get_receipt(session, delivery_id=receipt_id)
        Console().print_json(receipt.model_dump_json())

    in_tenant(tenant, work)


def _show_secret(created: CreatedSource) -> None:
    from app.settings import Settings

    public_url = Settings().ingest.public_url
    typer.echo(f"source  {created.source.id}  ({created.source.kind}, {created.source.profile})")
    typer.echo(f"url     {public_url.rstrip('/')}{created.url_path}")
    if created.secret is not None:
        typer.echo(f"secret  {created.secret}    shown this once")
    line = created.curl(public_url=public_url or "http://localhost:8000", now=_now())
    if line:
        typer.echo(f"try it  {line}")


def _parse_config(text: str) -> dict[str, object]:
    import orjson

    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"--config is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise typer.BadParameter("--config is no JSON object")
    return found


def _keyring() -> KeyRing:
    from app.net.keyring import KeyRing
    from app.settings import Settings

    return KeyRing.from_settings(Settings().security)


def _now() -> datetime:
    from app.core.clock import SystemClock

    return SystemClock().now()
