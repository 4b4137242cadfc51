"""What a body would become, by the same steps as a delivery and with nothing stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from app.core.ids import DeliveryId, SourceId, new_id
from app.incidents.schemas import AlertEvent, Severity, SourceFacts
from app.incidents.service import Delivered
from app.incidents.service.normalise import to_signals
from app.ingest.contract import AlertSource, Events, Ignored, ParseError
from app.ingest.faults import first_fault
from app.ingest.schemas import Preview, PreviewEvent, PreviewLink, PreviewRequest
from app.ingest.service.sources import SourceConfigInvalid
from app.ingest.sources import get_source as get_kind

_SHOWN = 100


def preview(wanted: PreviewRequest, *, now: datetime) -> Preview:
    """This will show what a body would become, alert by alert: also what is left out, and what found nothing.

    Raises:
        UnknownSourceKind: There is no such kind.
        SourceConfigInvalid: The settings do not fit it; the first fault with its field.
    """
    kind = get_kind(wanted.kind)
    settings = _checked(kind, wanted.config)
    headers = {name.lower(): value for name, value in wanted.headers.items()}
    body = wanted.body.encode("utf-8", "surrogatepass")
    try:
        events, unfound, notes = _parsed(kind, body, headers, settings)
    except ParseError as error:
        return Preview(events=[], error=error.code, detail=error.detail)
    facts = _facts(kind, wanted)
    delivered = Delivered(delivery_id=DeliveryId(new_id()), received_at=now, seq=0, events=events[:_SHOWN])
    shown = [
        PreviewEvent(
            dedup_key=signal.key,
            status=event.status.value,
            title=signal.title,
            description=signal.description,
            raw_severity=signal.raw_severity,
            severity=signal.severity,
            event_time=event.event_time,
            labels=dict(signal.labels),
            group=dict(signal.group_labels),
            links=[PreviewLink(title=link.title, url=link.url) for link in event.links],
            unfound=list(nothing),
            warnings=list(signal.warnings),
        )
        for event, signal, nothing in zip(delivered.events, to_signals(facts, delivered), unfound, strict=False)
    ]
    return Preview(events=shown, alerts=len(events), notes=notes, error=None)


def _parsed(
    kind: AlertSource, body: bytes, headers: Mapping[str, str], settings: BaseModel
) -> tuple[list[AlertEvent], Sequence[Sequence[str]], list[str]]:
    """The alerts, for each what found nothing, and why others are none."""
    if kind.explain is None:
        events = kind.parse(body, headers, settings)
        return events, [()] * len(events), events.notes if isinstance(events, Events) else []
    found: list[AlertEvent] = []
    unfound: list[tuple[str, ...]] = []
    left_out = Events()
    mapper = kind.explain(body, headers, settings)
    for entry in mapper.each():
        if isinstance(entry, Ignored):
            left_out.note(f"no alert: {entry.reason}")
        else:
            found.append(entry)
            unfound.append(tuple(mapper.unfound))
    return found, unfound, left_out.notes


def _checked(kind: AlertSource, config: Mapping[str, Any]) -> BaseModel:
    try:
        return kind.config_model.model_validate(config)
    except ValidationError as error:
        raise SourceConfigInvalid(first_fault(error)) from None


def _facts(kind: AlertSource, wanted: PreviewRequest) -> SourceFacts:
    own: dict[str, Severity] = {word.strip().lower(): severity for word, severity in wanted.severity_map.items()}
    return SourceFacts(
        id=SourceId(new_id()),
        kind=kind.slug,
        name="preview",
        severity_map={**kind.severities, **own},
        default_severity=wanted.default_severity,
        group_by=tuple(wanted.group_by),
    )
