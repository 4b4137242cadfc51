"""A receipt's chain as a tree for the terminal. Senders' words are shown, never obeyed."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text
from rich.tree import Tree

from app.cli.transactions import safe
from app.incidents.contract import Consequence, ConsequenceStep
from app.ingest.receipts.schemas import FollowedAlert, FollowedIncident, ReceiptEffects
from app.ingest.schemas import StageView

_MARKS = {"done": ("✓", "green"), "none": ("-", "dim"), "waiting": ("…", "yellow"), "failed": ("✗", "red")}
_SHOWN_ALERTS = 10


def tree_of(found: ReceiptEffects) -> Tree:
    """This will lay the chain out: stages first, then each incident with what followed from it."""
    receipt = found.receipt
    title = Text.assemble(("receipt ", "bold"), str(receipt.id), "  ", _state(receipt.state.value))
    if receipt.external_id:
        title.append(f"  sent as {safe(receipt.external_id)}", "dim")
    tree = Tree(title)
    for stage in found.stages:
        tree.add(_stage(stage))
    for incident in found.incidents:
        _add_incident(tree, incident)
    if found.incidents_not_shown:
        tree.add(Text(f"and {found.incidents_not_shown} more incidents", "dim"))
    for alert in found.unplaced[:_SHOWN_ALERTS]:
        tree.add(_alert(alert))
    if receipt.trace_id:
        tree.add(Text(f"trace {receipt.trace_id}", "dim"))
    return tree


def _add_incident(tree: Tree, incident: FollowedIncident) -> None:
    how = "opened by it" if incident.opened_here else "was there before"
    branch = tree.add(
        Text.assemble(
            (f"incident #{incident.number} ", "bold"),
            safe(incident.title),
            "  ",
            (incident.severity, "magenta"),
            " ",
            _state(incident.state),
            (f"  {how}, {incident.id}", "dim"),
        )
    )
    for alert in incident.alerts[:_SHOWN_ALERTS]:
        branch.add(_alert(alert))
    if len(incident.alerts) > _SHOWN_ALERTS:
        branch.add(Text(f"and {len(incident.alerts) - _SHOWN_ALERTS} more alerts", "dim"))
    for consequence in incident.consequences:
        _add_consequence(branch, consequence)


def _alert(alert: FollowedAlert) -> Text:
    line = Text.assemble(("alert ", "bold"), safe(alert.dedup_key), "  ", alert.outcome)
    if alert.status_now is not None:
        line.append(f", now {alert.status_now}", "dim")
    return line.append(f"  {safe(alert.reason)}", "dim")


def _add_consequence(branch: Tree, consequence: Consequence) -> None:
    mark, style = _MARKS[_mark_of(consequence)]
    line = Text.assemble((f"{mark} ", style), safe(consequence.title), "  ", (consequence.state, style))
    line.append(_when(consequence.at, consequence.ended_at), "dim")
    if consequence.reason:
        line.append(f"  {safe(consequence.reason)}", "dim")
    node = branch.add(line)
    for step in consequence.steps:
        node.add(_step(step))


def _mark_of(consequence: Consequence) -> str:
    if not consequence.settled:
        return "waiting"
    if consequence.failed:
        return "failed"
    return "none" if consequence.kind == "runbook_rule" else "done"


def _step(step: ConsequenceStep) -> Text:
    line = Text.assemble(safe(step.key), "  ", (step.kind, "dim"), "  ", step.state)
    line.append(_when(step.at, step.ended_at), "dim")
    return line.append(f"  {safe(step.reason)}", "dim") if step.reason else line


def _stage(stage: StageView) -> Text:
    mark, style = _MARKS[stage.state]
    line = Text.assemble((f"{mark} ", style), f"{stage.stage:<10}")
    line.append(_when(stage.at, None), "dim")
    return line.append(f"  {safe(stage.reason)}") if stage.reason else line


def _state(state: str) -> tuple[str, str]:
    good, bad = {"processed", "resolved", "closed"}, {"rejected", "failed"}
    return state, "green" if state in good else "red" if state in bad else "yellow"


def _when(at: datetime | None, ended_at: datetime | None) -> str:
    if at is None:
        return ""
    text = f"  {at:%H:%M:%S}"
    return f"{text} +{max(0.0, (ended_at - at).total_seconds()):.1f} s" if ended_at is not None else text
