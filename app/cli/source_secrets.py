"""``tocsin sources rotate-secret`` and ``secrets``: what senders prove themselves with, replaced, added and revoked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from app.cli.first_steps import keyring, public_url, show_address
from app.cli.jobs import ACTOR, Tenant, in_tenant, now
from app.cli.profile_files import GivenSecret
from app.cli.tables import listing, show_table

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession

if TYPE_CHECKING:
    from app.ingest.service import CreatedSource

app = typer.Typer(
    help="Several secrets of one source: list, add and revoke them.", no_args_is_help=True, add_completion=False
)

SourceId = Annotated[UUID, typer.Argument(help="The source's id.")]


def rotate_secret(
    tenant: Tenant,
    source_id: SourceId,
    overlap_s: Annotated[
        int, typer.Option(min=0, help="Seconds for which the secrets in use stay valid at most.")
    ] = 86_400,
    secret: GivenSecret = None,
) -> None:
    """Replace a source's secrets by a new one and print it, this once."""
    from app.ingest import service

    async def work(session: TenantSession) -> None:
        created = await service.rotate_secret(
            session,
            keyring=keyring(),
            source_id=source_id,
            overlap=timedelta(seconds=overlap_s),
            secret=secret,
            actor=ACTOR,
            now=now(),
        )
        show_secret(created)

    in_tenant(tenant, work)


@app.command("list")
def list_secrets(tenant: Tenant, source_id: SourceId) -> None:
    """List the ids of a source's secrets with their dates, newest first; never the secrets."""
    from app.ingest import service

    async def work(session: TenantSession) -> None:
        await service.get_source(session, source_id=source_id)
        table = listing("id", "made", "ends")
        for held in await service.list_secrets(session, source_id=source_id):
            ends = _time(held.expires_at) if held.expires_at is not None else "when it is revoked"
            table.add_row(str(held.id), _time(held.created_at), ends)
        show_table(table)

    in_tenant(tenant, work)


@app.command()
def add(tenant: Tenant, source_id: SourceId, secret: GivenSecret = None) -> None:
    """Make another secret and print it, this once; the others hold on."""
    from app.ingest import service

    async def work(session: TenantSession) -> None:
        created = await service.add_another_secret(
            session, keyring=keyring(), source_id=source_id, secret=secret, actor=ACTOR, now=now()
        )
        show_secret(created)

    in_tenant(tenant, work)


@app.command()
def revoke(
    tenant: Tenant, secret_id: Annotated[UUID, typer.Argument(help="The secret's id ('secrets list').")]
) -> None:
    """End one secret at once; the others hold on."""
    from app.ingest import service

    async def work(session: TenantSession) -> None:
        await service.revoke_secret(session, secret_id=secret_id, actor=ACTOR, now=now())

    in_tenant(tenant, work)
    typer.echo(f"secret {secret_id} is revoked")


def show_secret(created: CreatedSource) -> None:
    """This will print what the sender needs, this once."""
    base = public_url(None)
    typer.echo(f"source  {created.source.id}  ({created.source.kind}, {created.source.profile})")
    typer.echo(f"url     {base}{created.url_path}")
    if created.secret is not None:
        typer.echo(f"secret  {created.secret}    shown this once; its id is {created.secret_id}")
    show_address(created)
    line = created.curl(public_url=base, now=now())
    if line:
        typer.echo(f"try it  {line}")


def _time(value: datetime) -> str:
    return value.isoformat(timespec="seconds")
