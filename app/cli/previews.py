"""``tocsin sources preview``: what a payload would become, before a source or a mapping is saved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.first_steps import kind_named, parse_config
from app.cli.jobs import now
from app.cli.transactions import fail, safe, valid

if TYPE_CHECKING:
    from app.ingest.schemas import Preview, PreviewEvent


def preview(
    kind: Annotated[str, typer.Argument(help="Which sender, 'generic' for any JSON ('tocsin sources kinds').")],
    body: Annotated[Path | None, typer.Argument(help="File with the payload; standard input without it.")] = None,
    config: Annotated[str, typer.Option(help="Settings of the kind, as JSON or @file.")] = "{}",
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="'name: value'; repeatable.")] = None,
    severity_map: Annotated[
        str, typer.Option("--severities", help="From the sender's words to P0-P3, as JSON or @file.")
    ] = "{}",
    group_by: Annotated[list[str] | None, typer.Option("--group-by", help="Label; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Show what a payload would become: severity, identity, group, links, and what found nothing. Stores nothing."""
    from app.core.errors import TocsinError
    from app.ingest import service
    from app.ingest.schemas import PreviewRequest

    headers = dict(_header(text) for text in header or [])
    text = _read(body)
    wanted = valid(
        PreviewRequest,
        kind=kind_named(kind).slug,
        config=parse_config(config),
        body=text,
        headers=headers,
        severity_map=parse_config(severity_map),
        group_by=group_by or [],
    )
    try:
        found = service.preview(wanted, now=now())
    except TocsinError as error:
        raise fail(f"{error.title}: {safe(error.detail)}") from None
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _show(found)
    raise typer.Exit(0 if found.error is None else 1)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise typer.BadParameter(f"{text!r} is no header; write 'name: value'")
    return name.strip().lower(), value.strip()


def _read(path: Path | None) -> str:
    try:
        raw = sys.stdin.buffer.read() if path is None else path.read_bytes()
    except OSError as error:
        raise fail(f"{path} cannot be read: {error.strerror}") from None
    return raw.decode("utf-8", "replace")


def _show(found: Preview) -> None:
    console = Console(highlight=False)
    if found.error is not None:
        console.print(f"It would be rejected: {escape(found.error)}: {escape(safe(found.detail))}", soft_wrap=True)
        return
    for number, event in enumerate(found.events, start=1):
        console.print(_table(number, event))
    for note in found.notes:
        console.print(escape(safe(note)), soft_wrap=True)
    more = found.alerts - len(found.events)
    console.print(
        f"{found.alerts} alert{'' if found.alerts == 1 else 's'}{f', {more} of them not shown' if more else ''}."
    )


def _table(number: int, event: PreviewEvent) -> Table:
    table = Table(title=f"Alert {number}", show_header=False, title_justify="left")
    said = f" (the sender says {event.raw_severity!r})" if event.raw_severity else ""
    rows = {
        "title": event.title,
        "status": event.status,
        "severity": f"{event.severity.value}{said}",
        "dedup key": event.dedup_key,
        "group": _pairs(event.group),
        "labels": _pairs(event.labels),
        "time": event.event_time.isoformat() if event.event_time is not None else "the time of delivery",
        "links": "\n".join(f"{link.title}: {link.url}" for link in event.links),
        "description": event.description[:500],
        "found nothing": ", ".join(event.unfound),
        "warnings": "\n".join(event.warnings),
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, escape("\n".join(safe(line) for line in value.splitlines())))
    return table


def _pairs(pairs: dict[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in pairs.items())
