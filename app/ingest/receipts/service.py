"""The chain beyond the delivery's own row: incidents as they are now, and what the domains above made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.db.jobs.reading import FoundJob, find_job
from app.db.tenancy import TenantSession
from app.incidents.contract import Consequence, tell_consequences
from app.incidents.schemas import AlertView, IncidentView
from app.incidents.service import find_alerts, find_incidents
from app.ingest.receipts.schemas import FollowedAlert, FollowedIncident, IntakeJob, ReceiptEffects
from app.ingest.schemas import AlertResult, DeliveryState, ReceiptDetail, StageView
from app.ingest.service import get_receipt

SHOWN_INCIDENTS = 20
_OPENING = frozenset({"opened", "collapsed"})


async def follow(session: TenantSession, *, delivery_id: UUID) -> ReceiptEffects:
    """This will return the whole chain, in a number of statements that does not depend on its length.

    Raises:
        DeliveryNotFound: Not there, or another tenant's.
    """
    receipt = await get_receipt(session, delivery_id=delivery_id)
    job = await find_job(session, job_id=receipt.job_id) if receipt.job_id is not None else None
    alerts = [alert.alert_id for alert in receipt.alerts if alert.alert_id is not None]
    now = {view.id: view for view in await find_alerts(session, ids=list(dict.fromkeys(alerts)))}
    incidents = await find_incidents(session, ids=receipt.incidents[:SHOWN_INCIDENTS])
    told = await tell_consequences(session, incidents)
    waits = receipt.state is DeliveryState.ACCEPTED
    came_to_nothing = receipt.state in (DeliveryState.REJECTED, DeliveryState.FAILED)
    return ReceiptEffects(
        receipt=receipt,
        settled=not waits and all(consequence.settled for consequence in told),
        failed=came_to_nothing or any(consequence.failed for consequence in told),
        stages=[*receipt.stages, *_further(receipt, job, told)],
        intake_job=_job(job) if job is not None else None,
        incidents=_incidents(receipt, incidents, now, told),
        unplaced=[_alert(alert, now) for alert in receipt.alerts if alert.incident_id is None],
        incidents_not_shown=max(0, len(receipt.incidents) - SHOWN_INCIDENTS),
    )


def _incidents(
    receipt: ReceiptDetail,
    incidents: Sequence[IncidentView],
    now: dict[UUID, AlertView],
    told: Sequence[Consequence],
) -> list[FollowedIncident]:
    by_incident: dict[UUID, list[Consequence]] = defaultdict(list)
    for consequence in told:
        by_incident[consequence.incident_id].append(consequence)
    followed = []
    for incident in incidents:
        mine = [alert for alert in receipt.alerts if alert.incident_id == incident.id]
        followed.append(
            FollowedIncident(
                id=incident.id,
                number=incident.number,
                title=incident.title,
                state=incident.state.value,
                severity=incident.severity.value,
                created_at=incident.created_at,
                resolved_at=incident.resolved_at,
                resolved_by=incident.resolved_by,
                opened_here=_was_opened(receipt, incident, mine),
                alerts=[_alert(alert, now) for alert in mine],
                consequences=by_incident[incident.id],
            )
        )
    return followed


def _was_opened(receipt: ReceiptDetail, incident: IncidentView, alerts: Sequence[AlertResult]) -> bool:
    # An alert that joins an incident is opened as well; one moment stamps what one transaction did.
    return incident.created_at == receipt.processed_at and any(alert.outcome in _OPENING for alert in alerts)


def _alert(alert: AlertResult, now: dict[UUID, AlertView]) -> FollowedAlert:
    found = now.get(alert.alert_id) if alert.alert_id is not None else None
    return FollowedAlert(
        **alert.model_dump(),
        status_now=found.status.value if found is not None else None,
        severity_now=found.severity.value if found is not None else None,
    )


def _job(job: FoundJob) -> IntakeJob:
    return IntakeJob(id=job.id, state=job.state, attempt=job.attempt, error=job.error, finished_at=job.finished_at)


def _further(receipt: ReceiptDetail, job: FoundJob | None, told: Sequence[Consequence]) -> list[StageView]:
    if receipt.state is DeliveryState.ACCEPTED:
        return [StageView(stage="jobs", state="waiting"), StageView(stage="effects", state="waiting")]
    jobs = [consequence for consequence in told if consequence.kind == "job"]
    effects = [consequence for consequence in told if consequence.kind not in ("job", "runbook_rule")]
    why_not = [consequence for consequence in told if consequence.kind == "runbook_rule"]
    intake = f"intake job {job.state}" if job is not None else ""
    return [
        _stage("jobs", jobs, "; ".join(filter(None, [intake, _counted(jobs)]))),
        _stage("effects", effects, _counted(effects) or "; ".join(dict.fromkeys(item.reason for item in why_not))),
    ]


def _stage(name: str, found: Sequence[Consequence], reason: str) -> StageView:
    state = "none"
    if any(not consequence.settled for consequence in found):
        state = "waiting"
    elif any(consequence.failed for consequence in found):
        state = "failed"
    elif found:
        state = "done"
    ends: list[datetime] = [consequence.ended_at for consequence in found if consequence.ended_at is not None]
    return StageView.model_validate({"stage": name, "state": state, "at": max(ends, default=None), "reason": reason})


def _counted(found: Sequence[Consequence]) -> str:
    counts: dict[str, int] = defaultdict(int)
    for consequence in found:
        counts[f"{consequence.kind} {consequence.state}"] += 1
    return ", ".join(f"{count} {what}" for what, count in counts.items())
