"""``tocsin heartbeat``: what must be heard of in time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from app.cli.first_steps import public_url
from app.cli.jobs import ACTOR, Tenant, in_tenant
from app.cli.tables import listing, show_table
from app.cli.transactions import valid
from app.incidents.rules.states import Severity

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession

app = typer.Typer(
    help="Expect to hear of something; a missed beat opens an alert.", no_args_is_help=True, add_completion=False
)

HeartbeatId = Annotated[UUID, typer.Argument(help="The heartbeat's id.")]


@app.command()
def create(
    tenant: Tenant,
    source_id: Annotated[UUID, typer.Argument(help="The source whose secret authenticates the beats.")],
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, dot, - and _; unique within the source.")],
    interval_s: Annotated[int, typer.Option("--every-s", min=1, help="Seconds between two beats.")],
    grace_s: Annotated[int, typer.Option(min=0, help="Seconds by which a beat may be late.")] = 0,
    severity: Annotated[Severity, typer.Option(help="Of the alert that a missed beat opens.")] = Severity.P1,
) -> None:
    """Create a heartbeat and print where to report; it is watched from its first beat on."""
    from app.ingest.heartbeats import service
    from app.ingest.heartbeats.schemas import HeartbeatCreate
    from app.settings import Settings

    settings = Settings().ingest
    wanted = valid(
        HeartbeatCreate, source_id=source_id, name=name, interval_s=interval_s, grace_s=grace_s, severity=severity
    )

    async def work(session: TenantSession) -> None:
        made = await service.create_heartbeat(
            session, wanted, most=settings.heartbeats_max, actor=ACTOR, now=datetime.now(UTC)
        )
        typer.echo(f"Heartbeat {made.name}, id {made.id}.\n")
        typer.echo(f"report to  {public_url(None)}{made.url_path}")
        typer.echo("\nGET or POST it after each run, authenticated as the source is; add /fail to report a failure.")

    in_tenant(tenant, work)


@app.command("list")
def list_heartbeats(tenant: Tenant, limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List heartbeats, newest first."""
    from app.ingest.heartbeats import service

    async def work(session: TenantSession) -> None:
        table = listing("id", "name", "state", "every", "last beat", "deadline", "beats")
        for row in await service.list_heartbeats(session, source_id=None, before=None, limit=limit):
            table.add_row(
                str(row.id),
                row.name,
                row.state.value,
                f"{row.interval_s} s",
                _shown(row.last_beat_at),
                _shown(row.deadline_at),
                str(row.beats),
            )
        show_table(table)

    in_tenant(tenant, work)


@app.command()
def pause(tenant: Tenant, heartbeat_id: HeartbeatId) -> None:
    """Stop watching a heartbeat; its alert ends."""
    _set_paused(tenant, heartbeat_id, paused=True)


@app.command()
def resume(tenant: Tenant, heartbeat_id: HeartbeatId) -> None:
    """Watch a paused heartbeat again, from its next beat on."""
    _set_paused(tenant, heartbeat_id, paused=False)


@app.command()
def delete(tenant: Tenant, heartbeat_id: HeartbeatId) -> None:
    """Expect it no longer; its alert ends."""
    from app.ingest.heartbeats import service

    async def work(session: TenantSession) -> None:
        await service.delete_heartbeat(session, heartbeat_id=heartbeat_id, actor=ACTOR, now=datetime.now(UTC))
        typer.echo("Deleted.")

    in_tenant(tenant, work)


def _set_paused(tenant: UUID, heartbeat_id: UUID, *, paused: bool) -> None:
    from app.ingest.heartbeats import service
    from app.ingest.heartbeats.jobs import settle_soon
    from app.ingest.heartbeats.schemas import HeartbeatUpdate

    async def work(session: TenantSession) -> None:
        changed = await service.update_heartbeat(
            session,
            heartbeat_id=heartbeat_id,
            wanted=HeartbeatUpdate(paused=paused),
            actor=ACTOR,
            now=datetime.now(UTC),
        )
        await settle_soon(session, heartbeat_id=heartbeat_id)
        typer.echo(f"{changed.name} is {changed.state.value}.")

    in_tenant(tenant, work)


def _shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment is not None else "-"
