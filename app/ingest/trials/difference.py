"""Holding two readings of one history against each other. Pure, and the same for the same input."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar
from uuid import UUID

from app.incidents.service import Rehearsal, RehearsedEvent, RehearsedIncident
from app.ingest.contract import ParseError
from app.ingest.trials.schemas import (
    ChangedEvent,
    Counts,
    Difference,
    Examples,
    OneSided,
    OtherIncident,
    ReadDifferently,
    Regrouped,
    Sums,
)

SHOWN = 20
_SHOWN_TITLES = 10
_SHOWN_TEXT = 200

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Reading:
    """One side: what was refused, and what would have come of the rest."""

    refused: Mapping[UUID, ParseError]
    rehearsal: Rehearsal


def compare(now: Reading, then: Reading, *, deliveries: Sequence[UUID], cut: str = "") -> Difference:
    """This will return what ``then`` makes otherwise of the deliveries than ``now``."""
    counts, examples = Counts(deliveries=len(deliveries)), Examples()
    _compare_reading(now, then, deliveries, counts, examples)
    pairs = _compare_events(now.rehearsal, then.rehearsal, counts, examples)
    _compare_incidents(now.rehearsal, then.rehearsal, pairs, counts, examples)
    counts.alerts = Sums(now=len(now.rehearsal.alerts), then=len(then.rehearsal.alerts))
    return Difference(same=_is_nothing(counts), counts=counts, examples=examples, cut=cut)


def _is_nothing(counts: Counts) -> bool:
    differing = (
        counts.newly_understood,
        counts.newly_refused,
        counts.events_added,
        counts.events_gone,
        counts.events_changed,
        counts.incidents_added,
        counts.incidents_gone,
        counts.incidents_changed,
        counts.merged,
        counts.split,
    )
    return not any(differing) and counts.alerts.now == counts.alerts.then


def _compare_reading(
    now: Reading, then: Reading, deliveries: Sequence[UUID], counts: Counts, examples: Examples
) -> None:
    understood = [
        _refusal(id_, now.refused[id_]) for id_ in deliveries if id_ in now.refused and id_ not in then.refused
    ]
    refused = [_refusal(id_, then.refused[id_]) for id_ in deliveries if id_ in then.refused and id_ not in now.refused]
    counts.newly_understood, counts.newly_refused = len(understood), len(refused)
    examples.newly_understood, examples.newly_refused = understood[:SHOWN], refused[:SHOWN]


def _refusal(delivery_id: UUID, error: ParseError) -> ReadDifferently:
    return ReadDifferently(delivery_id=delivery_id, reason=error.code, detail=_short(error.detail))


Pair = tuple[RehearsedEvent | None, RehearsedEvent | None]


def _compare_events(now: Rehearsal, then: Rehearsal, counts: Counts, examples: Examples) -> list[Pair]:
    pairs = list(_paired(now.events, then.events))
    fields: Counter[str] = Counter()
    counts.events = Sums(now=len(now.events), then=len(then.events))
    for before, after in pairs:
        if before is None and after is not None:
            counts.events_added += 1
            _show(examples.events_added, _one_sided(after))
        elif after is None and before is not None:
            counts.events_gone += 1
            _show(examples.events_gone, _one_sided(before))
        elif before is not None and after is not None and (changed := _changes(before, after)):
            counts.events_changed += 1
            fields.update(changed.keys())
            _show(examples.events_changed, _changed(after, changed))
    counts.changed_fields = dict(sorted(fields.items()))
    return pairs


def _paired(now: Sequence[RehearsedEvent], then: Sequence[RehearsedEvent]) -> Iterator[Pair]:
    """Events of one delivery that belong together: of the same key first, what is left over in its order."""
    before, after = _grouped(now, lambda event: event.delivery_id), _grouped(then, lambda event: event.delivery_id)
    for delivery_id in sorted({*before, *after}):
        mine, theirs = before.get(delivery_id, []), after.get(delivery_id, [])
        by_key = _grouped(reversed(theirs), lambda event: event.dedup_key)
        alone: list[RehearsedEvent] = []
        taken: set[int] = set()
        for event in mine:
            if same := by_key.get(event.dedup_key):
                partner = same.pop()
                taken.add(partner.index)
                yield event, partner
            else:
                alone.append(event)
        yield from zip_longest(alone, (event for event in theirs if event.index not in taken))


def _changes(before: RehearsedEvent, after: RehearsedEvent) -> dict[str, list[str]]:
    compared = {
        "dedup_key": (before.dedup_key, after.dedup_key),
        "severity": (before.severity, after.severity),
        "status": (before.status, after.status),
        "title": (before.title, after.title),
        "time": (before.at.isoformat(), after.at.isoformat()),
        "group": (_group(before), _group(after)),
        "outcome": (before.outcome, after.outcome),
    }
    changed = {name: [_short(str(old)), _short(str(new))] for name, (old, new) in compared.items() if old != new}
    if "group" in changed and not before.group_labels and not after.group_labels and "dedup_key" in changed:
        # An alert that stands alone is its own group: that the key changed says it all.
        del changed["group"]
    return changed


def _group(event: RehearsedEvent) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in event.group_labels.items())
    return labels or event.group_key


def _compare_incidents(
    now: Rehearsal, then: Rehearsal, pairs: Iterable[Pair], counts: Counts, examples: Examples
) -> None:
    before, after = {i.id: i for i in now.incidents}, {i.id: i for i in then.incidents}
    counts.incidents = Sums(now=len(before), then=len(after))
    links = dict.fromkeys(
        (old.incident, new.incident)
        for old, new in pairs
        if old is not None and new is not None and old.incident is not None and new.incident is not None
    )
    leads_to, comes_from = _both_ways(links)
    for id_, incident in after.items():
        sources = comes_from.get(id_, [])
        if not sources:
            counts.incidents_added += 1
            _show(examples.incidents_added, _incident(incident))
        elif len(sources) > 1:
            counts.merged += 1
            _show(examples.merged, _regrouped(incident, [before[source] for source in sources]))
        elif len(leads_to[sources[0]]) == 1 and (changed := _incident_changes(before[sources[0]], incident)):
            counts.incidents_changed += 1
            _show(examples.incidents_changed, _incident(incident, changed))
    for id_, incident in before.items():
        targets = leads_to.get(id_, [])
        if not targets:
            counts.incidents_gone += 1
            _show(examples.incidents_gone, _incident(incident))
        elif len(targets) > 1:
            counts.split += 1
            _show(examples.split, _regrouped(incident, [after[target] for target in targets]))


def _both_ways(links: Iterable[tuple[UUID, UUID]]) -> tuple[dict[UUID, list[UUID]], dict[UUID, list[UUID]]]:
    forth: dict[UUID, list[UUID]] = defaultdict(list)
    back: dict[UUID, list[UUID]] = defaultdict(list)
    for old, new in links:
        forth[old].append(new)
        back[new].append(old)
    return dict(forth), dict(back)


def _incident_changes(before: RehearsedIncident, after: RehearsedIncident) -> dict[str, list[str]]:
    compared = {
        "severity": (before.severity, after.severity),
        "state": (before.state, after.state),
        "title": (before.title, after.title),
    }
    return {name: [_short(str(old)), _short(str(new))] for name, (old, new) in compared.items() if old != new}


def _incident(incident: RehearsedIncident, changed: dict[str, list[str]] | None = None) -> OtherIncident:
    return OtherIncident(
        title=_short(incident.title), severity=incident.severity, state=incident.state, changed=changed or {}
    )


def _regrouped(one: RehearsedIncident, several: Sequence[RehearsedIncident]) -> Regrouped:
    titles = [_short(incident.title) for incident in several[:_SHOWN_TITLES]]
    return Regrouped(one=_short(one.title), several=titles, count=len(several))


def _one_sided(event: RehearsedEvent) -> OneSided:
    return OneSided(
        delivery_id=event.delivery_id,
        index=event.index,
        dedup_key=_short(event.dedup_key),
        title=_short(event.title),
        status=event.status,
        severity=event.severity,
    )


def _changed(event: RehearsedEvent, changed: dict[str, list[str]]) -> ChangedEvent:
    return ChangedEvent(
        delivery_id=event.delivery_id,
        index=event.index,
        dedup_key=_short(event.dedup_key),
        title=_short(event.title),
        changed=changed,
    )


def _grouped(items: Iterable[RehearsedEvent], key: Callable[[RehearsedEvent], K]) -> dict[K, list[RehearsedEvent]]:
    groups: dict[K, list[RehearsedEvent]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _show(shown: list[T], example: T) -> None:
    if len(shown) < SHOWN:
        shown.append(example)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_TEXT else text[: _SHOWN_TEXT - 1] + "…"
