"""``tocsin incidents``: what is open, and the history of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.jobs import Tenant, in_tenant
from app.cli.tables import listing, show_table
from app.cli.transactions import fail, safe
from app.incidents.rules.states import OPEN_STATES, IncidentState, Severity

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession
    from app.incidents.schemas import AlertView, IncidentView, TimelineEntryView

app = typer.Typer(help="List incidents and read the history of one.", no_args_is_help=True, add_completion=False)

_SHOWN = 50


@app.command("list")
def list_incidents(
    tenant: Tenant,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,
    state: Annotated[list[IncidentState] | None, typer.Option(help="May be given several times.")] = None,
    severity: Annotated[list[Severity] | None, typer.Option(help="May be given several times.")] = None,
    source: Annotated[UUID | None, typer.Option("--source", help="Of one source.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List open incidents, newest first."""
    from app.incidents import service

    states = tuple(state) if state else () if everything else tuple(sorted(OPEN_STATES))

    async def work(session: TenantSession) -> None:
        wanted = service.IncidentFilter(states=states, severities=tuple(severity or ()), source_id=source)
        found = await service.list_incidents(session, wanted=wanted, before=None, limit=limit)
        if as_json:
            for incident in found:
                typer.echo(incident.model_dump_json())
            return
        table = listing("#", "opened", "severity", "state", "from", "title")
        for incident in found:
            table.add_row(
                str(incident.number),
                f"{incident.created_at:%Y-%m-%d %H:%M}",
                incident.severity.value,
                incident.state.value,
                escape(safe(incident.source_name)),
                escape(safe(incident.title)),
            )
        if found:
            show_table(table)
        else:
            typer.echo("No incident." if everything or state else "No incident is open.")

    in_tenant(tenant, work)


@app.command()
def show(
    tenant: Tenant,
    incident: Annotated[str, typer.Argument(help="The incident's id, or its number.")],
    as_json: Annotated[bool, typer.Option("--json", help="Incident, alerts and timeline as JSON.")] = False,
) -> None:
    """Show an incident with its alerts and its timeline."""
    from app.core.ids import IncidentId
    from app.incidents import service

    async def work(session: TenantSession) -> None:
        if incident.lstrip("#").isdigit():
            found = await service.get_incident_by_number(session, number=int(incident.lstrip("#")))
        else:
            found = await service.get_incident(session, incident_id=IncidentId(_id(incident)))
        wanted = service.AlertFilter(incident_id=found.id)
        alerts = await service.list_alerts(session, wanted=wanted, before=None, limit=_SHOWN)
        incident_id = IncidentId(found.id)
        timeline = await service.list_latest_entries(session, incident_id=incident_id, kinds=(), limit=_SHOWN)
        timeline.reverse()  # a long story from its end, told forwards
        _print_json(found, alerts, timeline) if as_json else _print(found, alerts, timeline)

    in_tenant(tenant, work)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise fail(
            f"{text!r} is neither an incident's id nor its number; 'tocsin incidents list' shows the numbers."
        ) from None


def _print_json(incident: IncidentView, alerts: list[AlertView], timeline: list[TimelineEntryView]) -> None:
    import orjson

    whole = {
        "incident": incident.model_dump(mode="json"),
        "alerts": [alert.model_dump(mode="json") for alert in alerts],
        "timeline": [entry.model_dump(mode="json") for entry in timeline],
    }
    typer.echo(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())


def _print(incident: IncidentView, alerts: list[AlertView], timeline: list[TimelineEntryView]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]#{incident.number}[/bold] {escape(safe(incident.title))}")
    console.print(f"{incident.severity}, {incident.state}, from {escape(safe(incident.source_name))}, {incident.id}")
    for alert in alerts:
        console.print(f"  alert {escape(safe(alert.dedup_key))}  {alert.status}, seen {alert.count} times")
    for entry in timeline:
        why = f"  [dim]{escape(safe(entry.reason))}[/dim]" if entry.reason else ""
        console.print(f"  {entry.at:%Y-%m-%d %H:%M:%S}  {escape(safe(entry.summary))}{why}")
