"""``tocsin receipt``: follow one delivery from the request to its last effect, or see where and why the chain ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console

from app.cli.jobs import Tenant
from app.cli.transactions import Begin, fail, run_in_tenant

if TYPE_CHECKING:
    from app.ingest.receipts.schemas import ReceiptEffects

POLL_S = 0.3
CAME_TO_NOTHING, NOT_SETTLED, EFFECT_FAILED = 3, 4, 5

app = typer.Typer(add_completion=False)


@app.command()
def receipt(
    tenant: Tenant,
    receipt_id: Annotated[
        str,
        typer.Argument(help="The receipt_id that the intake answered with, or the sender's own id of the delivery."),
    ],
    source: Annotated[UUID | None, typer.Option("--source", help="With a sender's own id: of which source.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the chain as JSON.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until nothing more happens by itself, then print.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="The same, showing each change on the way.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait at the most.")] = 60.0,
) -> None:
    """Follow a delivery: accepted, parsed, alerts, incidents, jobs, effects, or why not.

    Exit status: 0 all is well, 1 no such receipt, 3 the delivery came to nothing, 4 not settled yet, 5 something that
    followed from it failed.
    """
    found = run_in_tenant(tenant, lambda begin: _follow(begin, receipt_id, source, wait or watch, watch, timeout_s))
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    elif not watch:
        show(found)
    raise typer.Exit(exit_status(found))


def show(found: ReceiptEffects) -> None:
    """This will print the chain as a tree."""
    from app.cli.receipt_tree import tree_of

    Console().print(tree_of(found))


def exit_status(found: ReceiptEffects) -> int:
    """This will return what a script needs to know."""
    if found.receipt.state.value in ("rejected", "failed"):
        return CAME_TO_NOTHING
    if not found.settled:
        return NOT_SETTLED
    return EFFECT_FAILED if found.failed else 0


async def _follow(
    begin: Begin, given: str, source: UUID | None, wait: bool, watch: bool, timeout_s: float
) -> ReceiptEffects:
    delivery_id = await resolve(begin, given, source)
    if watch:
        return await _watched(begin, delivery_id, timeout_s)
    return await settled(begin, delivery_id, timeout_s=timeout_s if wait else 0.0)


async def resolve(begin: Begin, given: str, source: UUID | None) -> UUID:
    """This will return the delivery's id, also where the sender's own one was given."""
    from app.ingest.service import find_receipts

    try:
        return UUID(given)
    except ValueError:
        async with begin() as session:
            found = await find_receipts(session, external_id=given, source_id=source, limit=2)
    if not found:
        raise fail(
            f"No delivery is known by the id {given!r}. The receipt_id stands in the answer to the delivery; "
            "'tocsin deliveries list' shows the newest ones.",
            code=1,
        )
    if len(found) > 1:
        typer.secho(f"{given!r} came several times; this is the newest. --source narrows it.", fg="yellow", err=True)
    return found[0].id


async def settled(
    begin: Begin,
    delivery_id: UUID,
    *,
    timeout_s: float,
    changed: Callable[[ReceiptEffects], Awaitable[None]] | None = None,
) -> ReceiptEffects:
    """This will look until nothing more happens by itself or the time is up, and return the last look."""
    from app.ingest.receipts.service import follow
    from app.wiring import load_handlers

    load_handlers()  # what follows is told by the domains above ingest
    until = time.monotonic() + timeout_s
    while True:
        async with begin() as session:
            found = await follow(session, delivery_id=delivery_id)
        if changed is not None:
            await changed(found)
        if found.settled or time.monotonic() >= until:
            return found
        await asyncio.sleep(POLL_S)


async def _watched(begin: Begin, delivery_id: UUID, timeout_s: float) -> ReceiptEffects:
    from rich.live import Live

    from app.cli.receipt_tree import tree_of

    with Live(console=Console(), auto_refresh=False) as live:

        async def draw(found: ReceiptEffects) -> None:
            live.update(tree_of(found), refresh=True)

        return await settled(begin, delivery_id, timeout_s=timeout_s, changed=draw)
