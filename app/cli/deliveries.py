"""``tocsin deliveries``: what came in, what came to nothing and why, and trying it again."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console

from app.cli.jobs import ACTOR, Tenant, in_tenant, now
from app.cli.receipts import resolve
from app.cli.tables import listing, show_table
from app.cli.transactions import Begin, fail, run_in_tenant, safe

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession

if TYPE_CHECKING:
    from app.ingest.replays.schemas import ReplayView

app = typer.Typer(
    help="List deliveries, read those that came to nothing, and try them again.",
    no_args_is_help=True,
    add_completion=False,
)

Source = Annotated[UUID | None, typer.Option("--source", help="Of one source ('tocsin sources list').")]
Reason = Annotated[str | None, typer.Option("--reason", help="Code of why it came to nothing, as body.not_json.")]
Since = Annotated[datetime | None, typer.Option("--since", help="Came in at or after, UTC.")]
Until = Annotated[datetime | None, typer.Option("--until", help="Came in before, UTC.")]
DeliveryId = Annotated[str, typer.Argument(help="The delivery's id (the receipt_id), or the sender's own.")]


class State(StrEnum):
    """What became of it."""

    ACCEPTED = "accepted"
    PROCESSED = "processed"
    REJECTED = "rejected"
    FAILED = "failed"


@app.command("list")
def list_deliveries(
    tenant: Tenant,
    state: Annotated[list[State] | None, typer.Option(help="May be given several times.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Those that came to nothing: rejected and failed.")] = False,
    source: Source = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
) -> None:
    """List deliveries, newest first."""
    from app.ingest.schemas import DeliveryState
    from app.ingest.service import DeliveryFilter, list_receipts

    states = [DeliveryState(wanted.value) for wanted in state or []]
    if failed:
        states += [DeliveryState.REJECTED, DeliveryState.FAILED]

    async def work(session: TenantSession) -> None:
        wanted = DeliveryFilter(
            states=tuple(states), source_id=source, reason=reason, since=_utc(since), until=_utc(until)
        )
        table = listing("id", "came in", "state", "bytes", "sender's id", "reason")
        for row in await list_receipts(session, wanted=wanted, limit=limit):
            why = f"{row.reason}: {safe(row.detail)[:80]}" if row.detail else row.reason
            came, theirs = f"{row.received_at:%m-%d %H:%M:%S}", _plain(safe(row.external_id or ""))
            table.add_row(str(row.id), came, row.state.value, str(row.size_bytes), theirs, _plain(why))
        show_table(table)

    in_tenant(tenant, work)


@app.command()
def show(
    tenant: Tenant,
    delivery_id: DeliveryId,
    body: Annotated[
        bool, typer.Option("--body", help="Print the body instead, credentials hidden; this is audited.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print the body as it is, every byte; this is audited.")] = False,
) -> None:
    """Show one delivery: its receipt, or its body."""
    from app.ingest.rules.redaction import redact_body
    from app.ingest.service import get_receipt, read_body

    async def look(begin: Begin) -> None:
        found = await resolve(begin, delivery_id, None)
        async with begin() as session:
            if not body and not raw:
                Console().print_json((await get_receipt(session, delivery_id=found)).model_dump_json())
                return
            content = await read_body(session, delivery_id=found, redacted=not raw, actor=ACTOR, now=now())
        if raw:
            sys.stdout.buffer.write(content)
            sys.stdout.flush()
            return
        shown = redact_body(content)
        typer.echo("\n".join(safe(line) for line in shown.text.splitlines()))
        if shown.cut:
            typer.secho("The rest is not shown; --raw prints all of it.", fg="yellow", err=True)

    run_in_tenant(tenant, look)


@app.command()
def replay(
    tenant: Tenant,
    delivery_id: Annotated[list[str] | None, typer.Argument(help="Those to try again; none with --all.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that came to nothing and meet the options.")] = False,
    source: Source = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="At the most so many.")] = 1_000,
    wait: Annotated[bool, typer.Option(help="Wait for the end of a replay of many.")] = True,
) -> None:
    """Try deliveries again that came to nothing: single ones by id, or many by filter.

    Doubles nothing: what was applied before says nothing new. Exit status: 0 all were understood, 3 some came to nothing
    again, 4 not through yet, or cancelled.
    """
    if bool(delivery_id) == everything:
        raise fail("Say which: ids of deliveries, or --all with --source, --reason, --since or --until.")
    if delivery_id:
        _replay_single(tenant, delivery_id)
        return
    ended = run_in_tenant(tenant, lambda begin: _replay_many(begin, source, reason, since, until, most, wait))
    if ended.state.value == "running":
        typer.echo(f"replay {ended.id} is running; 'tocsin deliveries replays' shows how far it is")
        raise typer.Exit(4)
    if ended.state.value == "cancelled":
        typer.echo(f"replay {ended.id} was cancelled after {ended.taken} deliveries")
        raise typer.Exit(4)
    raise typer.Exit(3 if ended.failed_again else 0)


@app.command()
def replays(tenant: Tenant, limit: Annotated[int, typer.Option(min=1, max=200)] = 20) -> None:
    """List replays of many and how far they are, newest first."""
    from app.ingest.replays.service import list_replays

    async def work(session: TenantSession) -> None:
        table = listing("id", "state", "taken", "understood", "again nothing", "waiting", "started", "by")
        for row in await list_replays(session, before=None, limit=limit):
            started = row.created_at.isoformat(timespec="seconds")
            numbers = [str(count) for count in (row.taken, row.processed, row.failed_again, row.waiting)]
            table.add_row(str(row.id), row.state.value, *numbers, started, _plain(row.started_by))
        show_table(table)

    in_tenant(tenant, work)


@app.command()
def cancel(tenant: Tenant, replay_id: Annotated[UUID, typer.Argument(help="The replay's id.")]) -> None:
    """Stop a replay; what the intake has already is worked through."""
    from app.ingest.replays.service import cancel_replay

    async def work(session: TenantSession) -> None:
        stopped = await cancel_replay(session, replay_id=replay_id, actor=ACTOR, now=now())
        typer.echo(f"replay {replay_id} is cancelled after {stopped.taken} deliveries")

    in_tenant(tenant, work)


def _replay_single(tenant: UUID, given: list[str]) -> None:
    from app.db.jobs.queue import enqueue
    from app.ingest.jobs import DrainIntake
    from app.ingest.service import accept_again

    async def work(begin: Begin) -> None:
        for text in given:
            found = await resolve(begin, text, None)
            async with begin() as session:
                shard = await accept_again(session, delivery_id=found, actor=ACTOR, now=now())
                job = DrainIntake(shard=shard)
                await enqueue(session, job, unique_key=job.key)
            typer.echo(f"{found} is tried again; 'tocsin receipt {found} --wait' shows what becomes of it")

    run_in_tenant(tenant, work)


async def _replay_many(
    begin: Begin,
    source: UUID | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    most: int,
    wait: bool,
) -> ReplayView:
    from app.ingest.replays.jobs import drive
    from app.ingest.replays.schemas import ReplayRequest
    from app.ingest.replays.service import get_replay, start_replay

    request = ReplayRequest(source_id=source, reason=reason, since=_utc(since), until=_utc(until), most=most)
    async with begin() as session:
        replay = await start_replay(session, request=request, actor=ACTOR, now=now())
        await drive(session, replay_id=replay.id)
    shown: tuple[int, ...] = ()
    while wait and replay.state.value == "running":
        await asyncio.sleep(0.5)
        async with begin() as session:
            replay = await get_replay(session, replay_id=replay.id)
        so_far = (replay.taken, replay.processed, replay.failed_again)
        if so_far != shown:
            shown = so_far
            typer.echo("{} taken, {} understood, {} came to nothing again".format(*so_far))
    return replay


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None else None


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
