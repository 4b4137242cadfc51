"""How ``tocsin up`` and ``tocsin demo`` talk: a line for each thing that was seen, a spinner while waiting."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from app.embedded.demo import Facts
from app.embedded.seed import DemoState
from app.embedded.stack import Stack


class ConsoleNarrator:
    """Writes to a terminal; on a pipe the spinner is left out and each step is one plain line."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._quiet()

    def began(self, title: str) -> None:
        """This will show a spinner with the step's title."""
        self._quiet()
        if self.console.is_terminal and not self.console.record:
            self._status = self.console.status(f"{title} …")
            self._status.start()

    def saw(self, title: str, detail: str, seconds: float) -> None:
        """This will print the step with a tick, what was seen, and how long it took."""
        self._quiet()
        self.console.print(f"[green]✓[/green] {title} [dim]({seconds:.1f} s)[/dim]", highlight=False)
        if detail:
            self.console.print(f"  [dim]{detail}[/dim]", highlight=False, soft_wrap=True)

    def missed(self, title: str, reason: str) -> None:
        """This will print the step with a cross and what was seen instead."""
        self._quiet()
        self.console.print(f"[red]✗[/red] {title}", highlight=False)
        self.console.print(f"  [red]not seen: {reason or 'nothing came'}[/red]", highlight=False)

    def line(self, text: str) -> None:
        """This will print one line between steps."""
        self._quiet()
        self.console.print(text, highlight=False)

    def _quiet(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def show_summary(console: Console, stack: Stack, state: DemoState, facts: Facts, *, first_time: bool) -> None:
    """This will print where everything is and what to try by hand."""
    where = [("API", f"{stack.api_url}  (interactive pages: {stack.api_url}/docs)")]
    where += [
        (f"{name} metrics", f"http://127.0.0.1:{stack.ports.metrics + number}/metrics")
        for number, name in enumerate(_PROCESSES)
    ]
    where += [("data", str(stack.folder)), ("PostgreSQL", str(stack.postgres.data_path)), ("logs", str(stack.logs))]
    where += [(f"trace of {name.replace('_', ' ')}", trace_id) for name, trace_id in facts.trace_ids.items()]
    console.print("\n[bold green]Tocsin is up[/bold green]")
    for label, value in where:
        # Never wrapped: what is shown is there to be copied.
        console.print(f"  [dim]{label:<24}[/dim]{value}", highlight=False, soft_wrap=True)
    if console.record:
        # A picture is for everybody; the lines below hold secrets.
        return
    source = state.sources["alertmanager"]
    auth = f"Authorization: Bearer {state.admin_token}"
    lines = [
        f"curl -H '{auth}' {stack.api_url}/v1/incidents",
        f"curl -H '{auth}' {stack.api_url}/v1/receipts/{facts.ids.get('alert', '<receipt id>')}",
        f"curl -H '{auth}' {stack.api_url}/v1/runs/{facts.ids.get('run', '<run id>')}",
        f"curl {stack.api_url}/health",
        f"curl -X POST {stack.api_url}{source['url_path']} -H 'Authorization: Bearer {source['secret']}' \\\n"
        '  -d \'{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"TryMe"}}]}\'',
    ]
    console.print("\nTry by hand", style="bold")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if first_time:
        console.print(
            f"[dim]The demo tenant's token and secrets are stored hashed and encrypted; the demo's own copy is in "
            f"{state.path} (mode 0600).[/dim]",
            soft_wrap=True,
            highlight=False,
        )


_PROCESSES = ("api", "relay", "worker")
