"""``tocsin``: the command line. Sub-commands are imported when they are asked for, so that ``--help`` is quick."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

import structlog
import typer
from typer.core import TyperGroup

from app.cli import environment

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("app.cli.up", "Start everything on this machine, show the main job, and stay up until Ctrl-C."),
    "demo": ("app.cli.demo", "Start everything, show the main job and exit: 0 only when every step was seen."),
    "health": ("app.cli.health", "Show the health of a running Tocsin; exits 1 when a part fails."),
    "tenant": ("app.cli.tenants", "Make, list, isolate and restore tenants."),
    "token": ("app.cli.tokens", "Make, list and revoke API tokens."),
    "sources": ("app.cli.sources", "Connect senders, rotate their secrets, and try settings on the past."),
    "receipt": ("app.cli.receipts", "Follow a delivery to its incident and effects, or see why there are none."),
    "deliveries": ("app.cli.deliveries", "List deliveries, read those that came to nothing, and try them again."),
    "incidents": ("app.cli.incidents", "List incidents and read the history of one."),
    "heartbeat": ("app.cli.heartbeats", "Expect to hear of something; a missed beat opens an alert."),
    "check": ("app.cli.checks", "Ask an address again and again; wrong answers open an alert."),
    "smtp": ("app.cli.smtp", "Receive mail for email sources until stopped."),
    "limits": ("app.cli.limits", "Show and set what tenants and sources may send."),
    "jobs": ("app.cli.jobs", "List, inspect, retry and discard jobs; pause and resume processing."),
    "audit": ("app.cli.audit", "Prove that the audit trail is whole."),
    "db": ("app.cli.db", "Database roles and migrations."),
    "backup": ("app.cli.backup", "Back everything up into one file, and prove backups."),
    "restore": ("app.cli.restore", "Restore a backup and prove that everything is there."),
}
# These bring a stack of their own.
_STARTING = frozenset({"up", "demo"})
# Other words for the same; not listed.
ALIASES = {"source": "sources", "delivery": "deliveries", "incident": "incidents"}


class LazyGroup(TyperGroup):
    """Knows the commands' names and help; imports a command's module only when that command is run."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        module, text = COMMANDS[cmd_name]
        command = typer.main.get_command(_stub(text) if _is_overview() else importlib.import_module(module).app)
        command.name = cmd_name
        return command


def _is_overview() -> bool:
    """Only the list of commands is wanted: importing all of them for it would take seconds."""
    return len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help")


def _stub(text: str) -> typer.Typer:
    stub = typer.Typer(add_completion=False)
    stub.command(help=text)(lambda: None)
    return stub


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
    if len(sys.argv) > 1 and sys.argv[1] not in _STARTING:
        environment.adopt()
    # What a command has to say it prints; the log is for what goes wrong, and never mixes with output that is piped on.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        app()
    except Exception as error:
        if not isinstance(error, _foreseen()):
            raise
        from app.cli.transactions import fail, in_words

        sys.exit(fail(in_words(error), code=1).exit_code)


def _foreseen() -> tuple[type[BaseException], ...]:
    """What a command may let through; looked up when something was raised, because it takes a while to import."""
    from socket import gaierror

    from asyncpg import PostgresError
    from sqlalchemy.exc import DBAPIError

    from app.core.errors import TocsinError

    return TocsinError, ConnectionError, gaierror, PostgresError, DBAPIError
