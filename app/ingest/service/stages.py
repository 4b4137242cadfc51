"""A delivery's own part of the chain, in words: accepted, parsed, alerts, incidents, or why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.ingest.models import DeliveryRow
from app.ingest.schemas import DeliveryState, StageView

_IN_WORDS = {
    "opened": "opened",
    "bumped": "deduplicated into an alert that fires already",
    "resolved": "resolved",
    "reopened": "reopened",
    "late": "came late and changed nothing",
    "ignored": "said nothing new",
    "acknowledged": "acknowledged",
    "noted": "noted",
    "suppressed": "suppressed",
    "collapsed": "collapsed into a storm",
}
_INTAKE_QUEUES = ("*", "intake")


def stages_of(row: DeliveryRow, *, duplicates: int, pauses: Mapping[str, str]) -> list[StageView]:
    """This will return the four stages that the delivery's own row can answer for.

    Args:
        row: The delivery.
        duplicates: How often it came again.
        pauses: Queues that the tenant has paused, with the reasons.
    """
    result: dict[str, Any] = row.result or {}
    return [_accepted(row, duplicates), _parsed(row, pauses), _alerts(row, result), _incidents(row, result)]


def _accepted(row: DeliveryRow, duplicates: int) -> StageView:
    reasons = []
    if duplicates:
        reasons.append(f"came again {_times(duplicates)} and was taken once")
    if row.conflicts_with is not None:
        reasons.append(f"its sender used the id of {row.conflicts_with} for another body")
    return StageView(stage="accepted", state="done", at=row.received_at, reason="; ".join(reasons))


def _parsed(row: DeliveryRow, pauses: Mapping[str, str]) -> StageView:
    if row.state == DeliveryState.ACCEPTED.value:
        return StageView(stage="parsed", state="waiting", reason=_why_it_waits(row, pauses))
    if row.state == DeliveryState.PROCESSED.value:
        warnings = (row.result or {}).get("warnings", [])
        return StageView(stage="parsed", state="done", at=row.processed_at, reason="; ".join(warnings[:3]))
    reason = f"{row.reason}: {row.detail}" if row.detail else row.reason
    return StageView(stage="parsed", state="failed", at=row.processed_at or row.received_at, reason=reason)


def _why_it_waits(row: DeliveryRow, pauses: Mapping[str, str]) -> str:
    for queue in _INTAKE_QUEUES:
        if queue in pauses:
            why = f": {pauses[queue]}" if pauses[queue] else ""
            return f"the processing of {'everything' if queue == '*' else 'deliveries'} is paused{why}"
    return f"tried {_times(row.attempts)} so far" if row.attempts else "its turn comes within moments"


def _alerts(row: DeliveryRow, result: Mapping[str, Any]) -> StageView:
    if row.state != DeliveryState.PROCESSED.value:
        return _nothing_yet(row, "alerts")
    outcomes: Mapping[str, int] = result.get("outcomes", {})
    if not outcomes:
        why = "; ".join(result.get("warnings", [])[:3]) or "the delivery carries no alerts"
        return StageView(stage="alerts", state="none", at=row.processed_at, reason=why)
    said = ", ".join(f"{count} {_IN_WORDS.get(outcome, outcome)}" for outcome, count in outcomes.items())
    return StageView(stage="alerts", state="done", at=row.processed_at, reason=said)


def _incidents(row: DeliveryRow, result: Mapping[str, Any]) -> StageView:
    if row.state != DeliveryState.PROCESSED.value:
        return _nothing_yet(row, "incidents")
    count = len(result.get("incidents", []))
    if count:
        return StageView(stage="incidents", state="done", at=row.processed_at, reason=f"{count} touched")
    reasons = dict.fromkeys(alert.get("reason", "") for alert in result.get("alerts", []))
    return StageView(stage="incidents", state="none", at=row.processed_at, reason="; ".join(list(reasons)[:3]))


def _nothing_yet(row: DeliveryRow, stage: Any) -> StageView:
    waits = row.state == DeliveryState.ACCEPTED.value
    return StageView(stage=stage, state="waiting" if waits else "none")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
