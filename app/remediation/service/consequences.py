"""What remediation tells about incidents: the runs, what each step came to, and which rules did not apply and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.db.jobs.reading import FoundJob, find_jobs
from app.db.tenancy import TenantSession
from app.incidents.contract import MAX_CONSEQUENCES, Consequence, ConsequenceStep, tells
from app.incidents.schemas import IncidentView
from app.remediation.models import RunbookRuleRow, RunRow, RunStepRow
from app.remediation.repository import following, inventory
from app.remediation.rules.matching import Criteria, IncidentFacts
from app.remediation.rules.states import Outcome, RunState, StepState

# Written out: the job classes live above the services. A test holds them against the classes.
START_RUN, ADVANCE_RUN = "remediation.start_run", "remediation.advance_run"

_MOST_RUNS = 50
_MOST_REASONS = 20
_WELL_ENDED = frozenset({Outcome.RECOVERED.value, Outcome.NO_ACTION_NEEDED.value, Outcome.SIMULATED.value})


def trigger_key(*, incident_id: UUID, rule_id: UUID) -> str:
    """This will return what makes "one run of this rule for this incident" a constraint."""
    return f"{incident_id}:{rule_id}"


@tells("remediation")
async def tell_runs(session: TenantSession, incidents: Sequence[IncidentView]) -> list[Consequence]:
    """This will say which runs the incidents have, and for an incident without one, why."""
    rules = await inventory.enabled_rules(session)
    runs = await following.runs_of(session, incident_ids=[incident.id for incident in incidents], limit=_MOST_RUNS)
    steps = await following.steps_of_runs(session, run_ids=[run.id for run in runs])
    matching = {incident.id: _matching(rules, incident) for incident in incidents}
    started = {run.trigger_key for run in runs if run.trigger_key is not None}
    wanted = [(ADVANCE_RUN, str(run.id)) for run in runs if run.state == RunState.RUNNING.value]
    for incident_id, found in matching.items():
        keys = [trigger_key(incident_id=incident_id, rule_id=rule.id) for rule in found]
        wanted += [(START_RUN, key) for key in keys if key not in started]
    jobs = await find_jobs(session, wanted=wanted, since=min(incident.id for incident in incidents))
    by_key = {job.unique_key: job for job in jobs}
    told = [_run(run, steps.get(run.id, ()), by_key.get(str(run.id))) for run in runs]
    for incident in incidents:
        told += _waiting(incident, matching[incident.id], started, by_key)
        if not matching[incident.id] and not any(run.incident_id == incident.id for run in runs):
            told.append(_no_rule(incident, rules))
    return told[:MAX_CONSEQUENCES]


def _matching(rules: Sequence[RunbookRuleRow], incident: IncidentView) -> list[RunbookRuleRow]:
    facts = IncidentFacts.of(incident)
    return [rule for rule in rules if Criteria.from_json(rule.match).mismatch(facts) is None]


def _run(run: RunRow, steps: Sequence[RunStepRow], job: FoundJob | None) -> Consequence:
    ended = run.state == RunState.ENDED.value
    waits_for_nobody = run.state == RunState.RUNNING.value and job is not None and job.is_broken
    reason = f"its job is {job.state}: {job.error}" if waits_for_nobody and job is not None else run.reason
    return Consequence(
        incident_id=run.incident_id or run.id,
        kind="run",
        id=run.id,
        title=f"runbook {run.runbook} v{run.runbook_version}, {run.mode.replace('_', ' ')}",
        state=run.outcome if ended and run.outcome else run.state,
        # A person's consent is nothing that comes by itself.
        settled=ended or waits_for_nobody or run.state == RunState.AWAITING_APPROVAL.value,
        failed=waits_for_nobody or (ended and run.outcome not in _WELL_ENDED),
        reason_code=run.reason_code,
        reason=reason,
        at=run.created_at,
        ended_at=run.ended_at,
        trace_id=run.trace_id,
        steps=[_step(step) for step in steps],
    )


def _step(step: RunStepRow) -> ConsequenceStep:
    name = step.key if not step.iteration else f"{step.key} #{step.iteration}"
    return ConsequenceStep(
        key=name.removeprefix(":"),
        kind=step.kind if step.action is None else f"{step.kind} {step.action}",
        state=step.state,
        reason=step.error or step.reason if step.state != StepState.DONE.value else step.reason,
        at=step.started_at,
        ended_at=step.finished_at,
    )


def _waiting(
    incident: IncidentView, rules: Sequence[RunbookRuleRow], started: set[str], jobs: Mapping[str, FoundJob]
) -> list[Consequence]:
    """What was, or would be, started by rule and is no run yet."""
    told = []
    for rule in rules[:_MOST_REASONS]:
        key = trigger_key(incident_id=incident.id, rule_id=rule.id)
        if key not in started:
            told.append(_not_started(incident, rule, jobs.get(key)))
    return told


def _not_started(incident: IncidentView, rule: RunbookRuleRow, job: FoundJob | None) -> Consequence:
    title = f"rule {rule.name}: runbook {rule.runbook}"
    if job is None:
        reason = "the rule matches now, and did not when the incident opened"
        return Consequence(
            incident_id=incident.id,
            kind="runbook_rule",
            id=rule.id,
            title=title,
            state="not_started",
            settled=True,
            reason_code="rule.later",
            reason=reason,
        )
    return Consequence.of_job(job, incident_id=incident.id, title=title)


def _no_rule(incident: IncidentView, rules: Sequence[RunbookRuleRow]) -> Consequence:
    facts = IncidentFacts.of(incident)
    reasons = [
        ConsequenceStep(
            key=rule.name, kind="rule", state="no match", reason=Criteria.from_json(rule.match).mismatch(facts) or ""
        )
        for rule in rules[:_MOST_REASONS]
    ]
    return Consequence(
        incident_id=incident.id,
        kind="runbook_rule",
        title="no runbook",
        state="no_match",
        settled=True,
        reason_code="rule.no_match" if rules else "rule.none",
        reason=f"none of {len(rules)} rules matches" if rules else "there is no rule that would start a runbook",
        steps=reasons,
    )
