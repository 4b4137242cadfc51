"""``tocsin``: the command line. Sub-commands are imported when they are asked for, so that ``--help`` is quick."""

from __future__ import annotations

import importlib
from typing import Any

import click
import typer
from typer.core import TyperGroup

# Name, module, help. A module with one command exports it as ``command``; a group exports ``app``.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("app.cli.up", "Start Tocsin on its own PostgreSQL and Valkey and show the main job."),
    "demo": ("app.cli.demo", "Do the same and exit: 0 only when every step was seen."),
    "health": ("app.cli.health", "Show the health of a running Tocsin; exits 1 when a part fails."),
    "tenant": ("app.cli.tenants", "Make, list, isolate and restore tenants."),
    "token": ("app.cli.tokens", "Make, list and revoke API tokens."),
    "source": ("app.cli.sources", "Make and list sources, rotate their secrets."),
    "jobs": ("app.cli.jobs", "List, inspect, retry and discard jobs; pause and resume processing."),
    "audit": ("app.cli.audit", "Check the audit trail."),
    "db": ("app.cli.db", "Database roles and migrations."),
}


class LazyGroup(TyperGroup):
    """Knows the commands' names and help; imports a command's module when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, text = COMMANDS[cmd_name]
        if ctx.resilient_parsing or _is_help(ctx):
            return click.Command(cmd_name, help=text, short_help=text)
        loaded: Any = importlib.import_module(module)
        command = typer.main.get_command(loaded.app)
        command.name = cmd_name
        return command


def _is_help(ctx: click.Context) -> bool:
    return bool(ctx.args and ctx.args[0] in ("--help", "-h"))


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tocsin: signed alerts in; incidents, verified remediation and enriched tickets out.",
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Tocsin: signed alerts in; incidents, verified remediation and enriched tickets out."""


def main() -> None:
    """This will run the command line."""
    app()
