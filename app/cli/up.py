"""``tocsin up``: everything on one machine."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.cli import environment
from app.embedded.demo import Demo
from app.embedded.folder import DEFAULT, DataFolder, FolderInUse
from app.embedded.narration import ConsoleNarrator, show_summary
from app.embedded.seed import DemoState, SeedFailed, ensure_contents, ensure_tenant
from app.embedded.server import EmbeddedServerFailed
from app.embedded.stack import Ports, Stack, StackNotReady

app = typer.Typer(add_completion=False)
DEFAULT_PORT = 8080

DataDir = Annotated[Path, typer.Option("--data-dir", help="Where the data is kept; found again by the next start.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65000, help="API port; another is taken when it is busy.")]


@app.command()
def up(
    data_dir: DataDir = DEFAULT,
    port: Port = DEFAULT_PORT,
    demo: Annotated[bool, typer.Option(help="Send the demo's two webhooks and follow them.")] = True,
) -> None:
    """Start Tocsin on its own PostgreSQL and Valkey, show the main job, and stay up until Ctrl-C."""
    raise typer.Exit(run(data_dir, port, demo=demo, stay=True))


def run(data_dir: Path, port: int, *, demo: bool, stay: bool, picture: Path | None = None) -> int:
    """This will run the stack and return the exit status; errors become one line that says what to do."""
    console = Console() if picture is None else Console(record=True, width=110, force_terminal=True)
    try:
        with DataFolder(data_dir) as folder, ConsoleNarrator(console) as narrator:
            status = asyncio.run(_run(folder.path, port, narrator, demo=demo, stay=stay))
        if picture is not None:
            picture.write_text(console.export_svg(title="make up"))
        return status
    except (FolderInUse, EmbeddedServerFailed, StackNotReady, SeedFailed, PermissionError) as error:
        console.print(f"[red]tocsin up:[/red] {error}", highlight=False, soft_wrap=True)
        return 1


async def _run(folder: Path, port: int, narrator: ConsoleNarrator, *, demo: bool, stay: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ports = Ports.choose(api=port)
    if ports.api != port:
        narrator.line(f"[yellow]Port {port} is busy; the API listens on {ports.api} instead.[/yellow]")
    stack = Stack(folder, ports=ports, say=lambda text: narrator.line(f"[yellow]{text}[/yellow]"))
    working = asyncio.create_task(_start_and_show(stack, narrator, demo=demo))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            return 130
        seen = working.result()
        if stay and not stop.is_set():
            narrator.line("\nPress Ctrl-C to stop; the data stays.")
            await stop.wait()
        return 0 if seen or stay else 1
    finally:
        narrator.line("Stopping …")
        await stack.stop()
        narrator.line("Stopped.")


async def _start_and_show(stack: Stack, narrator: ConsoleNarrator, *, demo: bool) -> bool:
    started = time.monotonic()
    narrator.began("Starting PostgreSQL and Valkey, migrating the schema")
    await stack.start_stores()
    narrator.saw("PostgreSQL and Valkey run, the schema is current", "", time.monotonic() - started)
    state: DemoState = await ensure_tenant(stack)
    settings = {**stack.environment(), **stack.administration()}
    environment.leave(stack.folder, settings, tenant_id=state.tenant_id)
    narrator.began("Starting api, relay and worker")
    await stack.start_processes()
    await stack.wait_ready()
    narrator.saw("api, relay and worker are ready", f"{stack.api_url}", time.monotonic() - started)
    first_time = not state.desk_id
    await ensure_contents(stack, state)
    narrator.saw("The tenant 'demo' has its sources, targets, rules and documents", "", time.monotonic() - started)
    shown = Demo(stack, state, narrator)
    seen = await shown.run() if demo else True
    show_summary(narrator.console, stack, state, shown.facts, first_time=first_time)
    return seen
