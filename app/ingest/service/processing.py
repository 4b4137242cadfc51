"""Making alerts of deliveries: parse each, apply all of one source together, write down what became of them."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.core.breath import breathe
from app.core.ids import DeliveryId
from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertEvent, AppliedAlert, StormRule
from app.incidents.service import Delivered, apply_deliveries
from app.ingest.contract import Events, ParseError
from app.ingest.models import SourceRow
from app.ingest.repository import deliveries as repository
from app.ingest.repository.deliveries import ClaimedDelivery, Finding
from app.ingest.repository.sources import find_source
from app.ingest.rules.requests import sequence_of
from app.ingest.schemas import DeliveryState
from app.ingest.service.shown import source_facts
from app.ingest.sources import all_sources
from app.observability.tracing import current_traceparent, span_from

_SHOWN_ALERTS = 100
_SHOWN_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class _Parsed:
    delivery: ClaimedDelivery
    events: list[AlertEvent]
    rejected: ParseError | None = None


async def process(
    session: TenantSession,
    deliveries: Sequence[ClaimedDelivery],
    *,
    job_id: UUID,
    now: datetime,
    storm: StormRule | None = None,
) -> list[Finding]:
    """This will process locked deliveries of one source in the caller's transaction.

    What the content does not allow is a finding, ``rejected`` with its reason; whatever is raised is nobody's fault.
    """
    source_id = deliveries[0].source_id
    source = await find_source(session, source_id=source_id)
    parsed = []
    for delivery in deliveries:
        parsed.append(_parse(source, delivery))
        await breathe()
    understood = [entry for entry in parsed if entry.rejected is None]
    applied = iter(await _apply(session, source, understood, now, storm) if source is not None and understood else [])
    findings = []
    for entry in parsed:
        findings.append(_rejected(entry) if entry.rejected is not None else _processed(entry, next(applied)))
        await breathe()
    alerts = sum(len(entry.events) for entry in understood)
    await repository.finish(session, findings, job_id=job_id, now=now, used=(source_id, alerts))
    return findings


def set_aside(delivery: ClaimedDelivery, *, attempts: int, error: str) -> Finding:
    """This will return the finding for a delivery that failed too often for reasons other than its content."""
    detail = f"gave up after {attempts} attempts: {error}" if error else f"gave up after {attempts} attempts"
    return Finding(delivery.id, DeliveryState.FAILED, "intake.gave_up", detail, {})


def _parse(source: SourceRow | None, delivery: ClaimedDelivery) -> _Parsed:
    kind = all_sources().get(source.kind) if source is not None else None
    if source is None or kind is None:
        return _Parsed(delivery, [], ParseError("source.unknown_kind", "this release does not know the kind of source"))
    # In the delivery's own trace, linked to the job that took several of them up at once.
    attributes = {"tocsin.delivery.id": str(delivery.id), "tocsin.source.kind": source.kind}
    links = [current_traceparent()]
    with span_from(delivery.traceparent, "ingest.parse", links=links, attributes=attributes) as span:
        try:
            config = kind.config_model.model_validate(source.config)
            events = kind.parse(delivery.body, delivery.headers, config)
        except ParseError as error:
            span.set_attribute("tocsin.rejected", error.code)
            return _Parsed(delivery, [], error)
        except ValidationError as error:
            return _Parsed(
                delivery, [], ParseError("source.config_invalid", f"{error.error_count()} settings are wrong")
            )
        span.set_attribute("tocsin.alerts", len(events))
        return _Parsed(delivery, events)


async def _apply(
    session: TenantSession,
    source: SourceRow,
    understood: Sequence[_Parsed],
    now: datetime,
    storm: StormRule | None,
) -> list[list[AppliedAlert]]:
    delivered = [
        Delivered(
            delivery_id=DeliveryId(entry.delivery.id),
            received_at=entry.delivery.received_at,
            seq=sequence_of(entry.delivery.id),
            events=entry.events,
        )
        for entry in understood
    ]
    # What follows (runbooks, pages, enhancement) belongs to the trace of the webhook. Where several merge, it goes on in
    # the first one's, linked to the others and to the job.
    first, *others = [entry.delivery.traceparent for entry in understood]
    links = [current_traceparent(), *others]
    with span_from(first, "ingest.apply", links=links, attributes={"tocsin.deliveries": len(understood)}):
        return await apply_deliveries(session, source=source_facts(source, storm=storm), deliveries=delivered, now=now)


def _rejected(entry: _Parsed) -> Finding:
    error = entry.rejected or ParseError("body.unexpected_shape", "")
    return Finding(entry.delivery.id, DeliveryState.REJECTED, error.code, error.detail, {})


def _processed(entry: _Parsed, applied: Sequence[AppliedAlert]) -> Finding:
    alerts: list[dict[str, Any]] = [
        {
            "dedup_key": event.dedup_key[:255],
            "status": event.status.value,
            "outcome": what.outcome.value,
            "reason": what.reason,
            "alert_id": str(what.alert_id) if what.alert_id is not None else None,
            "incident_id": str(what.incident_id) if what.incident_id is not None else None,
        }
        for event, what in zip(entry.events[:_SHOWN_ALERTS], applied, strict=False)
    ]
    incidents = list(dict.fromkeys(str(what.incident_id) for what in applied if what.incident_id is not None))
    warnings = list(dict.fromkeys(warning for event in entry.events for warning in event.warnings))
    notes = entry.events.notes if isinstance(entry.events, Events) else []
    if not entry.events and not notes:
        warnings.append("the delivery carries no alerts")
    result = {
        "outcomes": dict(Tally(what.outcome.value for what in applied)),
        "alerts": alerts,
        "incidents": incidents[:_SHOWN_ALERTS],
        "warnings": [*notes, *warnings][:_SHOWN_WARNINGS],
    }
    return Finding(entry.delivery.id, DeliveryState.PROCESSED, "", "", result)
