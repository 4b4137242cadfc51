"""``tocsin jobs``: the same look at the work as ``/v1/jobs``, from the machine itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console

from app.cli.tables import listing, show_table
from app.cli.transactions import fail, in_words
from app.core.actor import Actor, ActorKind
from app.core.jobs import JobState, Queue

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession

app = typer.Typer(
    help="List, inspect, retry and discard jobs; pause and resume processing.",
    no_args_is_help=True,
    add_completion=False,
)

Tenant = Annotated[
    UUID, typer.Option("--tenant", envvar="TOCSIN_TENANT", help="The tenant's id ('tocsin tenant list').")
]
JobId = Annotated[UUID, typer.Argument(help="The job's id.")]
ACTOR = Actor(kind=ActorKind.OPERATOR, id="cli", name="operator at the command line")


def in_tenant(tenant: UUID, work: Callable[[TenantSession], Awaitable[None]]) -> None:
    """This will run ``work`` in one transaction of the tenant and turn anticipated errors into one line."""
    from app.core.errors import TocsinError
    from app.core.ids import TenantId
    from app.db.engine import Database
    from app.db.tenancy import tenant_session
    from app.settings import Settings

    async def run() -> None:
        database = Database.from_settings(Settings().database)
        try:
            async with tenant_session(database, TenantId(tenant)) as session:
                await work(session)
        finally:
            await database.dispose()

    try:
        asyncio.run(run())
    except TocsinError as error:
        raise fail(in_words(error), code=1) from None


@app.command("list")
def list_jobs(
    tenant: Tenant,
    state: Annotated[list[JobState] | None, typer.Option(help="May be given several times.")] = None,
    queue: Annotated[Queue | None, typer.Option(help="Only this queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
) -> None:
    """List jobs, newest first."""
    from app.operations import service

    async def work(session: TenantSession) -> None:
        rows = await service.list_jobs(session, states=state or [], kind=None, queue=queue, before=None, limit=limit)
        table = listing("id", "kind", "queue", "state", "attempt", "due", "error")
        for row in rows:
            attempt = f"{row.attempt}/{row.max_attempts}"
            due = row.run_at.isoformat(timespec="seconds")
            table.add_row(str(row.id), row.kind, row.queue, row.state, attempt, due, (row.error or "")[:60])
        show_table(table)

    in_tenant(tenant, work)


@app.command()
def show(tenant: Tenant, job_id: JobId) -> None:
    """Show one job whole."""
    from app.operations import service
    from app.operations.schemas import JobDetail

    async def work(session: TenantSession) -> None:
        row = await service.get_job(session, job_id=job_id)
        Console().print_json(JobDetail.model_validate(row).model_dump_json())

    in_tenant(tenant, work)


@app.command()
def retry(tenant: Tenant, job_id: JobId) -> None:
    """Put a dead letter back to work."""
    from app.operations import service

    async def work(session: TenantSession) -> None:
        await service.retry_job(session, job_id=job_id, actor=ACTOR, now=now())
        typer.echo(f"job {job_id} is scheduled again")

    in_tenant(tenant, work)


@app.command()
def discard(tenant: Tenant, job_id: JobId) -> None:
    """Give a dead letter up."""
    from app.operations import service

    async def work(session: TenantSession) -> None:
        await service.discard_job(session, job_id=job_id, actor=ACTOR, now=now())
        typer.echo(f"job {job_id} is discarded")

    in_tenant(tenant, work)


@app.command()
def pause(
    queue: Annotated[Queue | None, typer.Option(help="One queue; all by default.")] = None,
    tenant: Annotated[UUID | None, typer.Option(help="One tenant; everybody by default.")] = None,
    reason: Annotated[str, typer.Option(help="Shown to whoever finds it paused.")] = "",
) -> None:
    """Stop handing out jobs; what runs, runs on."""
    _switch(queue=queue, tenant=tenant, reason=reason, paused=True)


@app.command()
def resume(
    queue: Annotated[Queue | None, typer.Option(help="One queue; all by default.")] = None,
    tenant: Annotated[UUID | None, typer.Option(help="One tenant; everybody by default.")] = None,
) -> None:
    """Hand out jobs again."""
    _switch(queue=queue, tenant=tenant, reason="", paused=False)


def _switch(*, queue: Queue | None, tenant: UUID | None, reason: str, paused: bool) -> None:
    from app.operations import service

    async def work(session: TenantSession) -> None:
        if paused:
            await service.pause(session, queue=queue, reason=reason, actor=ACTOR, now=now())
        else:
            await service.resume(session, queue=queue, actor=ACTOR, now=now())

    if tenant is not None:
        in_tenant(tenant, work)
    else:
        asyncio.run(_switch_for_everybody(queue.value if queue is not None else service.ALL, reason, paused))
    typer.echo(f"{'paused' if paused else 'resumed'}: {queue or 'all queues'}, {tenant or 'every tenant'}")


async def _switch_for_everybody(queue: str, reason: str, paused: bool) -> None:
    from sqlalchemy import text

    from app.db.engine import Database
    from app.db.system import system_session
    from app.settings import Settings

    database = Database.from_settings(Settings().database)
    try:
        async with system_session(database, reason="cli.queue_pause") as session:
            await session.execute(
                text("select tocsin_private.set_queue_pause(:queue, :reason, :paused)"),
                {"queue": queue, "reason": reason, "paused": paused},
            )
    finally:
        await database.dispose()


def now() -> datetime:
    """This will return the machine's time, for services that take it as a value."""
    from app.core.clock import SystemClock

    return SystemClock().now()
