"""``tocsin sources try`` and ``set``: what other settings would have made of the past, and saving them."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.first_steps import parse_config
from app.cli.jobs import ACTOR, Tenant, now
from app.cli.tables import listing
from app.cli.transactions import Begin, fail, run_in_tenant, safe, valid

if TYPE_CHECKING:
    from app.ingest.trials.schemas import Difference, TrialView

DIFFERS, NOT_DONE = 3, 4
SourceId = Annotated[UUID, typer.Argument(help="The source's id ('tocsin sources list').")]
Config = Annotated[str | None, typer.Option(help="Settings of the kind, whole, as JSON or @file.")]
Words = Annotated[
    list[str] | None,
    typer.Option("--severity", help="word=P1: what the sender's word means; repeatable, whole map."),
]
DefaultSeverity = Annotated[str | None, typer.Option(help="P0, P1, P2 or P3.")]
GroupBy = Annotated[list[str] | None, typer.Option("--group-by", help="Label; repeatable, the whole list.")]
Ungrouped = Annotated[bool, typer.Option("--ungrouped", help="Without grouping labels.")]
ResolveAfter = Annotated[
    int | None, typer.Option("--resolve-timeout-s", help="Resolves what was not heard of for so long.")
]


def try_candidate(
    tenant: Tenant,
    source_id: SourceId,
    config: Config = None,
    severity: Words = None,
    default_severity: DefaultSeverity = None,
    group_by: GroupBy = None,
    ungrouped: Ungrouped = False,
    hours: Annotated[float, typer.Option("--hours", min=0.01, max=24 * 366, help="How far to look back.")] = 168.0,
    most: Annotated[int, typer.Option(min=1, max=2_000, help="Deliveries to look at, from the oldest on.")] = 500,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait for the result.")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run the deliveries of the past through other settings and show what would be different. Nothing is changed.

    Exit status: 0 nothing would be different, 3 something would, 4 the result is not there yet.
    """
    given = _settings(config, severity, default_severity, group_by, ungrouped)
    given |= {"most": most, "until": now(), "since": now() - timedelta(hours=hours)}
    trial = run_in_tenant(tenant, lambda begin: _run(begin, source_id, given, timeout_s))
    _show(trial, as_json=as_json)


def set_settings(
    tenant: Tenant,
    source_id: SourceId,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    config: Config = None,
    severity: Words = None,
    default_severity: DefaultSeverity = None,
    group_by: GroupBy = None,
    ungrouped: Ungrouped = False,
    resolve_timeout_s: ResolveAfter = None,
) -> None:
    """Change a source's settings; what is not named stays. 'try' shows first what a change would do."""
    given = _settings(config, severity, default_severity, group_by, ungrouped)
    given |= {"name": name} if name is not None else {}
    given |= {"resolve_timeout_s": resolve_timeout_s} if resolve_timeout_s is not None else {}
    if not given:
        raise fail(
            "Say what to change: --config @settings.json, --group-by label, --severity word=P1 ... (see --help)."
        )
    run_in_tenant(tenant, lambda begin: _save(begin, source_id, given))


async def _save(begin: Begin, source_id: UUID, given: dict[str, Any]) -> None:
    from app.ingest.schemas import SourceUpdate
    from app.ingest.service import update_source

    wanted = valid(SourceUpdate, **given)
    changes = {field: getattr(wanted, field) for field in given}
    async with begin() as session:
        changed = await update_source(session, source_id=source_id, changes=changes, actor=ACTOR, now=now())
    typer.echo(f"{safe(changed.name)} is changed: {', '.join(sorted(changes))}. Deliveries from now on are read so.")


def _settings(
    config: str | None,
    severity: list[str] | None,
    default_severity: str | None,
    group_by: list[str] | None,
    ungrouped: bool,
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if config is not None:
        given["config"] = parse_config(config)
    if severity:
        given["severity_map"] = _severities(severity)
    if default_severity is not None:
        given["default_severity"] = default_severity
    if group_by or ungrouped:
        given["group_by"] = group_by or []
    return given


def _severities(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if any(not word or not value for word, _, value in pairs):
        raise typer.BadParameter("--severity takes word=P1, as in --severity page=P0")
    return {word: value for word, _, value in pairs}


async def _run(begin: Begin, source_id: UUID, given: dict[str, Any], timeout_s: float) -> TrialView:
    from app.db.jobs.queue import enqueue
    from app.ingest.trials.jobs import RunTrial
    from app.ingest.trials.schemas import TrialRequest
    from app.ingest.trials.service import ask_trial, get_trial

    request = valid(TrialRequest, **given)
    async with begin() as session:
        trial = await ask_trial(session, source_id=source_id, request=request, actor=ACTOR, now=now())
        await enqueue(session, RunTrial(trial_id=trial.id), unique_key=str(trial.id))
    until = time.monotonic() + timeout_s
    while trial.state.value == "queued" and time.monotonic() < until:
        await asyncio.sleep(0.3)
        async with begin() as session:
            trial = await get_trial(session, trial_id=trial.id)
    return trial


def _show(trial: TrialView, *, as_json: bool) -> None:
    if trial.state.value == "failed":
        raise fail(f"The trial failed: {trial.reason}", code=1)
    if trial.result is None:
        typer.secho(f"The trial {trial.id} is not worked out yet; is a worker running?", fg="yellow", err=True)
        raise typer.Exit(NOT_DONE)
    if as_json:
        typer.echo(trial.model_dump_json(indent=2))
    else:
        _print(trial.result)
    raise typer.Exit(0 if trial.result.same else DIFFERS)


def _print(result: Difference) -> None:
    counts, console = result.counts, Console(soft_wrap=True, highlight=False)
    if result.same:
        console.print(f"Nothing would be different: {counts.deliveries} deliveries, {counts.events.now} alert events.")
    else:
        table = listing(f"over {counts.deliveries} deliveries", "now", "then", "different")
        refused = f"{counts.newly_understood} newly understood, {counts.newly_refused} newly refused"
        table.add_row("deliveries", "", "", refused)
        events = f"{counts.events_added} added, {counts.events_gone} gone, {counts.events_changed} changed"
        table.add_row("alert events", str(counts.events.now), str(counts.events.then), events)
        table.add_row("alerts", str(counts.alerts.now), str(counts.alerts.then), _fields(counts.changed_fields))
        incidents = f"{counts.incidents_added} added, {counts.incidents_gone} gone, {counts.incidents_changed} changed"
        table.add_row("incidents", str(counts.incidents.now), str(counts.incidents.then), incidents)
        table.add_row("grouping", "", "", f"{counts.merged} merged, {counts.split} split")
        console.print(table)
        _print_examples(console, result)
    if result.cut:
        console.print(f"Not all was looked at: {result.cut}.")


def _print_examples(console: Console, result: Difference) -> None:
    shown = result.examples
    lines = [f"now understood: {one.delivery_id} (was {one.reason})" for one in shown.newly_understood]
    lines += [f"now refused: {one.delivery_id} ({one.reason}: {one.detail})" for one in shown.newly_refused]
    lines += [f"added: {one.title} [{one.severity}, {one.status}]" for one in shown.events_added]
    lines += [f"gone: {one.title} [{one.severity}, {one.status}]" for one in shown.events_gone]
    for event in shown.events_changed:
        what = ", ".join(f"{name} {old} → {new}" for name, (old, new) in event.changed.items())
        lines.append(f"changed: {event.title}: {what}")
    lines += [f"merged: {one.one} gathers {one.count}: {', '.join(one.several)}" for one in shown.merged]
    lines += [f"split: {one.one} becomes {one.count}: {', '.join(one.several)}" for one in shown.split]
    for line in lines[:30]:
        console.print("  " + escape(safe(line)))


def _fields(changed: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in changed.items())
