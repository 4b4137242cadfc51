"""What acknowledged deliveries have to lead to: an effect that never happens is as wrong as one that happens twice.

The rules hold for loads in which every alert that a runbook acts on has a key and a service of its own and names one rule,
and whose source groups nothing. So each incident of such an alert is that alert's alone: it has one run, and the run one
effect on the service. Several alerts under one key join its open incident and share the run; one that fires again after
its incident ended opens another incident, with a run of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.faults.evidence import TenantEvidence
from tests.faults.sender import Sent


def broken_promises(tenant: TenantEvidence, sent: list[Sent]) -> Iterator[tuple[str, str]]:
    """This will return, with its invariant, each thing that an acknowledged delivery should have led to and did not."""
    keys: dict[str, set[str]] = defaultdict(set)
    tickets: set[str] = set()
    for one in sent:
        if one.is_acknowledged and one.expects is not None:
            if one.expects.service:
                keys[one.expects.service].add(one.key)
            else:
                tickets.add(one.expects.ticket)
    for service in sorted(keys):
        for what in _acted_once(tenant, service, keys[service]):
            yield "I5", what
    for number in sorted(tickets):
        yield from _noted(tenant, number)


def _acted_once(tenant: TenantEvidence, service: str, keys: set[str]) -> Iterator[str]:
    """One run for each incident of these keys, and one effect on the service for each run."""
    name = f"{tenant.tag}/{service}"
    incidents = {row["incident_id"] for row in tenant.rows["alerts"] if row["dedup_key"] in keys}
    if not incidents:
        yield f"{name} has no incident"
    targets = {str(row["id"]) for row in tenant.rows["targets"] if row["name"] == service}
    for incident in incidents:
        runs = [row for row in tenant.rows["runs"] if row["incident_id"] == incident]
        if len(runs) != 1:
            yield f"{name} has {len(runs)} runs for one incident"
        for run in runs:
            effects = [
                row for row in tenant.rows["effects"] if row["target"] in targets and row["run_id"] == str(run["id"])
            ]
            if len(effects) != 1:
                how = f"{run['outcome']} {run['reason_code']} {run['reason']}"
                yield f"{name} has {len(effects)} effects of a run that ended {how}"


def _noted(tenant: TenantEvidence, number: str) -> Iterator[tuple[str, str]]:
    """One note, or an effect of which nobody can tell; and no note that nobody meant to write."""
    notes = tenant.notes.get(number, [])
    effects = [
        row for row in tenant.rows["effects"] if row["kind"] == "ticket.note" and row["target"] == f"ticket:{number}"
    ]
    states = [row["state"] for row in effects]
    if not notes and "unknown" not in states:
        yield "I5", f"ticket {number} has no note, and its effects are {states}"
    if notes and not effects:
        yield "I2", f"ticket {number} has a note without an intent"
