"""Asking for a trial, working it out, and reading its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import DeliveryId, new_id
from app.db.jobs.reading import find_jobs
from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertEvent, Severity, SourceFacts, StormRule
from app.incidents.service import Delivered, rehearse
from app.ingest.contract import AlertSource, ParseError
from app.ingest.models import SourceRow
from app.ingest.rules.moments import id_at
from app.ingest.rules.requests import sequence_of
from app.ingest.service.shown import source_facts
from app.ingest.service.sources import checked_config, get_source
from app.ingest.sources import get_source as get_kind
from app.ingest.trials import repository
from app.ingest.trials.difference import Reading, compare
from app.ingest.trials.models import TrialRow
from app.ingest.trials.repository import PastDelivery
from app.ingest.trials.schemas import Candidate, Difference, TrialRequest, TrialState, TrialView

KEPT = 20
"""Trials of a source that are kept to be read."""
MAX_BYTES = 33_554_432
MAX_EVENTS = 20_000
JOB_KIND = "ingest.run_trial"

_BACK = timedelta(days=7)
_FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)


class TrialNotFound(NotFound):
    """No trial of this id for this tenant."""

    code = "trial.not_found"
    title = "No such trial"


class TrialStretchInvalid(Invalid):
    """The stretch of the past is empty."""

    code = "trial.stretch_invalid"
    title = "The trial would look at nothing"
    hint = "Give a since that lies before until."


class TrialsWaiting(Conflict):
    """As many trials of a source as may wait."""

    code = "trial.waiting"
    title = "Other trials of this source are waiting"
    hint = "Read their results first."


@dataclass(frozen=True)
class Settings:
    """One side of the comparison: how bodies are read, and what is made of what they say."""

    kind: AlertSource
    config: BaseModel
    facts: SourceFacts


@dataclass
class Side:
    """What one side has understood so far."""

    settings: Settings
    understood: list[Delivered] = field(default_factory=list)
    refused: dict[UUID, ParseError] = field(default_factory=dict)
    events: int = 0

    def read(self, delivery: PastDelivery) -> None:
        """This will parse one delivery; what is refused is kept as the reason."""
        try:
            events: list[AlertEvent] = self.settings.kind.parse(delivery.body, delivery.headers, self.settings.config)
        except ParseError as error:
            self.refused[delivery.id] = error
            return
        self.events += len(events)
        self.understood.append(
            Delivered(
                delivery_id=DeliveryId(delivery.id),
                received_at=delivery.received_at,
                seq=sequence_of(delivery.id),
                events=events,
            )
        )

    def reading(self) -> Reading:
        """This will return what would have come of it."""
        return Reading(self.refused, rehearse(self.settings.facts, self.understood))


async def ask_trial(
    session: TenantSession, *, source_id: UUID, request: TrialRequest, actor: Actor, now: datetime
) -> TrialView:
    """This will write a trial down; the caller enqueues the job that works it out.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
        SourceConfigInvalid: The candidate's settings do not fit the kind.
        TrialStretchInvalid: There is nothing between since and until.
        TrialsWaiting: Some are not worked out yet.
    """
    source = await get_source(session, source_id=source_id)
    candidate = request.candidate()
    if "config" in candidate:
        candidate["config"] = checked_config(get_kind(source.kind).config_model, candidate["config"])
    until = request.until or now
    # No delivery is older than this, and a week before the first year of all cannot be reckoned.
    since = request.since or max(until, _FIRST_DAY + _BACK) - _BACK
    if since >= until:
        raise TrialStretchInvalid(f"since is {since.isoformat()}, until is {until.isoformat()}")
    newest = await repository.list_trials(session, source_id=source_id, before=None, limit=KEPT)
    if sum(row.state == TrialState.QUEUED.value and row.created_at > now - _PATIENCE for row in newest) >= _WAITING:
        raise TrialsWaiting(f"{_WAITING} trials of the source are not worked out yet")
    await repository.forget_old(session, source_id=source_id, keep=KEPT - 1)
    row = TrialRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        source_id=source_id,
        candidate=candidate,
        since=since,
        until=until,
        most=request.most,
        state=TrialState.QUEUED.value,
        reason="",
        result=None,
        asked_by=actor.name,
        created_at=now,
    )
    session.add(row)
    await session.flush()
    detail = {"trial": str(row.id), "changed": sorted(candidate)}
    await record(session, actor=actor, action="source.tried", subject=f"source:{source_id}", detail=detail, now=now)
    return TrialView.model_validate(row)


_WAITING = 3
_PATIENCE = timedelta(minutes=15)


async def get_trial(session: TenantSession, *, trial_id: UUID) -> TrialView:
    """This will return a trial, with its result once it is worked out.

    Raises:
        TrialNotFound: Not there, or another tenant's.
    """
    row = await repository.find_trial(session, trial_id=trial_id)
    if row is None:
        raise TrialNotFound(trial_id=str(trial_id))
    view = TrialView.model_validate(row)
    if view.state is TrialState.QUEUED:
        jobs = await find_jobs(session, wanted=[(JOB_KIND, str(row.id))], since=row.id)
        broken = [job for job in jobs if job.is_broken]
        if broken:
            return view.model_copy(update={"state": TrialState.FAILED, "reason": f"its job is {broken[-1].state}"})
    return view


async def list_trials(session: TenantSession, *, source_id: UUID, before: UUID | None, limit: int) -> list[TrialView]:
    """This will return a source's trials, newest first.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
    """
    await get_source(session, source_id=source_id)
    rows = await repository.list_trials(session, source_id=source_id, before=before, limit=limit)
    return [TrialView.model_validate(row) for row in rows]


def both_sides(source: SourceRow, candidate: Mapping[str, Any], *, storm: StormRule | None = None) -> tuple[Side, Side]:
    """This will return the source as it is, and as it would be; ``storm`` holds where the source has no rule of its own.

    Raises:
        ValidationError: Settings that were stored do not fit the kind any more.
    """
    kind = get_kind(source.kind)
    facts = source_facts(source, storm=storm)
    now = Settings(kind, kind.config_model.model_validate(source.config), facts)
    config = kind.config_model.model_validate(candidate.get("config", source.config))
    return Side(now), Side(Settings(kind, config, _changed(facts, kind, candidate)))


def _changed(facts: SourceFacts, kind: AlertSource, candidate: Mapping[str, Any]) -> SourceFacts:
    given = Candidate.model_validate(candidate)
    if given.severity_map is not None:
        own = {word.strip().lower()[:100]: severity for word, severity in given.severity_map.items()}
        facts = replace(facts, severity_map={**kind.severities, **own})
    if given.default_severity is not None:
        facts = replace(facts, default_severity=Severity(given.default_severity))
    if given.group_by is not None:
        facts = replace(facts, group_by=tuple(given.group_by))
    if "resolve_timeout_s" in given.model_fields_set:
        facts = replace(facts, resolve_timeout_s=given.resolve_timeout_s)
    return facts


def read_chunk(sides: Sequence[Side], chunk: Sequence[PastDelivery]) -> None:
    """This will let both sides read the deliveries."""
    for delivery in chunk:
        for side in sides:
            side.read(delivery)


def conclude(now: Side, then: Side, *, deliveries: Sequence[UUID], cut: str) -> Difference:
    """This will return what the candidate would have made otherwise."""
    return compare(now.reading(), then.reading(), deliveries=deliveries, cut=cut)


def stretch(trial: TrialRow) -> tuple[UUID, UUID]:
    """This will return the ids between which the trial's deliveries lie, both outside."""
    first = id_at(trial.since).int
    return UUID(int=max(first - 1, 0)), id_at(trial.until)
