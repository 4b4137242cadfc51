"""One judge of a run: reads the evidence and says which of the invariants I1 to I8 does not hold, and where."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from app.ingest.rules.requests import sequence_of
from tests.faults.evidence import Evidence, Row, Samples, TenantEvidence, sha_of
from tests.faults.promises import broken_promises
from tests.faults.sender import Log, Sent

# Beyond it a job neither moves nor shows: lease, republishing and sweeps together take less.
STUCK_S = 30.0
MOST_CONNECTIONS = 100
MOST_RSS_MB = 1500.0
MOST_VALKEY_MB = 64.0
MOST_SERIES = 6000
# By one wave or scene: a storm of 3,000 alerts takes seven, and a scene sends large bodies until the disk is full.
MOST_DISK_MB = 64.0
OPEN = frozenset({"scheduled", "published", "running"})
# A lost job that comes back gives way to a newer one of its key; that one is judged in its place.
SUPERSEDED = "superseded by a newer job of the same key"


@dataclass(frozen=True)
class Violation:
    """What was promised and does not hold."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


def judge(evidence: Evidence) -> list[Violation]:
    """This will return every violation that the evidence shows."""
    found = list(_honest_answers(evidence.log))
    for tenant in evidence.tenants:
        sent = evidence.log.of(tenant.tenant_id)
        found += _acknowledged_is_stored(tenant, sent)
        found += _stored_was_sent_once(tenant, sent)
        found += _no_effect_twice(tenant, evidence)
        found += _no_note_twice(tenant, sent)
        found += _order_of_each_key(tenant, sent)
        found += [Violation("I4", f"{tenant.tag}: rows of {table} speak of another tenant") for table in tenant.leaks]
        found += [Violation(invariant, what) for invariant, what in broken_promises(tenant, sent)]
        found += _everything_moves(tenant, settled=evidence.settled)
        found += _ended_well(tenant, evidence.explained)
        if not tenant.audit.ok:
            found.append(Violation("I6", f"{tenant.tag}: {tenant.audit.broken}"))
    found += _bounded(evidence)
    return found


def _honest_answers(log: Log) -> Iterator[Violation]:
    for odd in log.odd:
        yield Violation("I7", odd)
    for one in log.sent:
        if len(one.receipts) > 1:
            yield Violation("I2", f"{one.message_id} has {len(one.receipts)} receipts")
        if one.gave_up:
            yield Violation("I7", f"{one.message_id} was never acknowledged in {one.attempts} tries")


def _acknowledged_is_stored(tenant: TenantEvidence, sent: list[Sent]) -> Iterator[Violation]:
    stored = {str(row["id"]): row for row in tenant.rows["deliveries"]}
    for one in sent:
        for receipt in one.receipts:
            row = stored.get(receipt)
            if row is None:
                yield Violation("I1", f"{one.message_id} was acknowledged as {receipt} and is not there")
            elif row["sha"] != sha_of(one.body):
                yield Violation("I1", f"{one.message_id} is stored with another body")
            elif row["state"] in {"failed", "rejected"}:
                yield Violation("I1", f"{one.message_id} ended {row['state']}: {row['reason']}")


def _stored_was_sent_once(tenant: TenantEvidence, sent: list[Sent]) -> Iterator[Violation]:
    known = {one.message_id: one for one in sent}
    for message_id, times in Counter(row["external_id"] for row in tenant.rows["deliveries"]).items():
        if message_id not in known:
            yield Violation("I7", f"{tenant.tag}: {message_id} is stored and was never sent")
        if times > 1:
            yield Violation("I2", f"{message_id} is stored {times} times")


def _no_effect_twice(tenant: TenantEvidence, evidence: Evidence) -> Iterator[Violation]:
    calls: dict[str, list[str]] = defaultdict(list)
    for call in evidence.calls:
        if call.service.startswith(f"{tenant.tag}/"):
            calls[call.service].append(call.key)
    for service, keys in calls.items():
        if service in tenant.keyed:
            if len(set(keys)) > 1 or not keys[0]:
                yield Violation("I2", f"{service} was called with {len(set(keys))} keys")
        elif len(keys) > 1:
            yield Violation("I2", f"{service} was called {len(keys)} times")
    yield from _journal_agrees(tenant, calls)


def _journal_agrees(tenant: TenantEvidence, calls: dict[str, list[str]]) -> Iterator[Violation]:
    names = {str(row["id"]): f"{tenant.tag}/{row['name']}" for row in tenant.rows["targets"]}
    effects = {names[row["target"]]: row for row in tenant.rows["effects"] if row["target"] in names}
    for service in set(calls) - set(effects):
        yield Violation("I2", f"{service} was called without an intent")
    for service, effect in effects.items():
        if effect["state"] == "done" and not calls.get(service):
            yield Violation("I2", f"{service} is written down as done and was never called")
        if effect["state"] == "failed" and calls.get(service):
            yield Violation("I2", f"{service} is written down as not done and was called")


def _no_note_twice(tenant: TenantEvidence, sent: list[Sent]) -> Iterator[Violation]:
    for number, notes in tenant.notes.items():
        if len(notes) > 1:
            yield Violation("I2", f"ticket {number} has {len(notes)} notes")
    done = sum(1 for row in tenant.rows["effects"] if row["kind"] == "ticket.note" and row["state"] == "done")
    written = sum(1 for notes in tenant.notes.values() if notes)
    if done > written:
        yield Violation("I2", f"{tenant.tag}: {done} notes are written down as done and {written} are there")


def _order_of_each_key(tenant: TenantEvidence, sent: list[Sent]) -> Iterator[Violation]:
    stored = {row["external_id"]: row["id"] for row in tenant.rows["deliveries"] if row["state"] == "processed"}
    by_key: dict[str, list[Sent]] = defaultdict(list)
    for one in sent:
        if one.at is not None and one.message_id in stored:
            by_key[one.key].append(one)
    heads = {row["dedup_key"]: row for row in tenant.rows["heads"]}
    incidents = {row["id"]: row for row in tenant.rows["incidents"]}
    for key, said in by_key.items():
        # Of two words of the same time the one that was stored later is the newer one.
        newest = max(said, key=lambda one: (one.at, sequence_of(stored[one.message_id])))
        head = heads.get(key)
        if head is None or head["event_at"] != newest.at or head["status"] != newest.status:
            yield Violation("I3", f"{key} should be {newest.status} since {newest.at}, but is {head}")
        alerts = [row for row in tenant.rows["alerts"] if row["dedup_key"] == key]
        yield from _counted_once(key, alerts, said)
        firing = [row for row in alerts if row["status"] == "firing"]
        if len(firing) != (newest.status == "firing"):
            yield Violation("I3", f"{key} has {len(firing)} firing alerts, its last word was {newest.status}")
        for row in firing:
            state = incidents[row["incident_id"]]["state"]
            if state == "resolved" and not _was_mended(tenant, row["incident_id"]):
                yield Violation("I3", f"{key} fires and its incident is {state}")


def _counted_once(key: str, alerts: list[Row], said: list[Sent]) -> Iterator[Violation]:
    counted, fired = sum(row["count"] for row in alerts), sum(1 for one in said if one.status == "firing")
    # A firing that is older than a resolve which came first makes no alert; without resolves each one is counted.
    if counted > fired or (fired == len(said) and counted != fired):
        yield Violation("I2", f"{key} was counted {counted} times and fired {fired} times")


def _was_mended(tenant: TenantEvidence, incident_id: object) -> bool:
    """This will say whether a runbook resolved the incident: then its alert may fire on until the sender speaks."""
    return any(row["incident_id"] == incident_id and row["outcome"] == "recovered" for row in tenant.rows["runs"])


def _everything_moves(tenant: TenantEvidence, *, settled: bool) -> Iterator[Violation]:
    for row in tenant.rows["jobs"]:
        if row["state"] in OPEN and not row["parked"] and row["overdue_s"] > STUCK_S:
            yield Violation("I5", f"{tenant.tag}: {row['kind']} is {row['state']} and {row['overdue_s']:.0f} s overdue")
    if not settled:
        waiting = Counter(f"{row['kind']} {row['state']}" for row in tenant.rows["jobs"] if row["state"] in OPEN)
        waiting["runs"] = sum(1 for row in tenant.rows["runs"] if row["outcome"] is None)
        waiting["deliveries"] = sum(1 for row in tenant.rows["deliveries"] if row["state"] == "accepted")
        yield Violation("I5", f"{tenant.tag}: did not come to rest: {dict(waiting)}")


def _ended_well(tenant: TenantEvidence, explained: tuple[str, ...]) -> Iterator[Violation]:
    """No job may end otherwise than done, unless the run brought about just that."""
    for row in tenant.rows["jobs"]:
        if row["state"] not in {"dead", "failed", "cancelled"}:
            continue
        if row["state"] == "cancelled" and row["error"] == SUPERSEDED:
            continue
        if not row["error"]:
            yield Violation("I5", f"{tenant.tag}: {row['kind']} is {row['state']} and does not say why")
        elif row["state"] == "dead" and row["attempt"] < row["max_attempts"]:
            yield Violation("I5", f"{tenant.tag}: {row['kind']} died in attempt {row['attempt']}: {row['error']}")
        elif not any(reason in row["error"] for reason in explained):
            yield Violation("I5", f"{tenant.tag}: {row['kind']} ended {row['state']}: {row['error']}")


def _bounded(evidence: Evidence) -> Iterator[Violation]:
    samples = evidence.samples
    if samples == Samples():
        yield Violation("I8", "nothing was measured")
    for name, seen, most in (
        ("database connections", samples.connections, MOST_CONNECTIONS),
        ("MB of memory", samples.rss_mb, MOST_RSS_MB),
        ("MB in the broker", samples.valkey_mb, MOST_VALKEY_MB),
        ("time series", samples.metric_series, MOST_SERIES),
        ("MB more in the database", samples.disk_mb, MOST_DISK_MB),
    ):
        if seen > most:
            yield Violation("I8", f"{seen:.0f} {name}, at most {most:.0f} are expected")
