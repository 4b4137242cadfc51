"""``/in/{source}/heartbeat[/{name}[/fail]]``: a beat, authenticated as everything that the source sends.

Any body will do, none too; but Alertmanager's, Grafana's and Prometheus' way to say that an always-firing alert has
ended is no beat.
"""

from __future__ import annotations

import re

import orjson

from app.core.errors import Unavailable
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest import answers
from app.ingest.answers import Answer
from app.ingest.doors import Gate
from app.ingest.heartbeats import repository
from app.ingest.heartbeats.jobs import set_timer, settle_soon
from app.ingest.heartbeats.schemas import NAME_PATTERN, HeartbeatState
from app.ingest.known_sources import KnownSource
from app.ingest.refusals import RefusalCounter
from app.net.signing import SignedRequest, Verified
from app.observability.metrics import counter
from app.observability.tracing import new_root
from app.settings import Settings

BEATS = counter("tocsin_heartbeats_beats_total", "Beats that came, by what they met.", ("outcome",))

_PATH = re.compile(rf"/in/[0-9a-z]{{26}}/heartbeat(?:/(?P<name>{NAME_PATTERN.strip('^$')}))?(?P<fail>/fail)?")
_UNKNOWN = answers.problem(
    404,
    "heartbeat.not_found",
    "The source has no such heartbeat",
    "Make it with POST /v1/heartbeats or `tocsin heartbeat create`, then report to its url_path.",
    "unknown_heartbeat",
)
_STATUS_READ_MAX = 65_536


class HeartbeatDoor:
    """Takes beats, one short transaction each: a beat that was answered 200 has moved the deadline."""

    # Clients of Opsgenie's ping with any of them.
    methods = frozenset({"GET", "POST", "PUT", "PATCH"})

    def __init__(self, resources: Resources, refusals: RefusalCounter, gate: Gate) -> None:
        self.gate = gate
        self._database = resources.get(Database)
        self._refusals = refusals
        self._overloaded = answers.overloaded(resources.get(Settings).ingest.retry_after_s)

    def serves(self, source: KnownSource) -> bool:
        """This will say that every source may be watched."""
        return True

    async def take(self, source: KnownSource, verdict: Verified, request: SignedRequest) -> Answer:
        """This will note the beat, and wake the timer where that has news."""
        found = _PATH.fullmatch(request.path)
        if found is None:
            return _UNKNOWN
        if _says_it_is_over(request.body):
            BEATS.labels("over").inc()
            return _answer({"heartbeat": found["name"] or "default", "state": "ignored: this says that it has ended"})
        name, failed = found["name"] or "default", found["fail"] is not None
        with new_root("heartbeat.beat", attributes={"tocsin.source.id": str(source.source_id)}):
            try:
                beat = await self._note(source, name, failed=failed)
            except Unavailable:
                return self._overloaded
        if beat is None:
            self._refusals.note(source.tenant_id, source.source_id, "heartbeat_unknown")
            return _UNKNOWN
        BEATS.labels("failed" if failed else beat.state).inc()
        return _answer({"heartbeat": name, "state": beat.state, "next_before": beat.deadline_at})

    async def _note(self, source: KnownSource, name: str, *, failed: bool) -> repository.Beat | None:
        async with tenant_session(self._database, source.tenant_id) as session:
            beat = await repository.beat(session, source_id=source.source_id, name=name, failed=failed)
            if beat is None or beat.state == HeartbeatState.PAUSED.value:
                return beat
            if beat.was != beat.state or beat.overdue:
                await settle_soon(session, heartbeat_id=beat.id)
            if beat.deadline_at is not None and (beat.was != HeartbeatState.UP.value or beat.overdue):
                await set_timer(session, heartbeat_id=beat.id, at=beat.deadline_at)
            return beat


def _says_it_is_over(body: bytes) -> bool:
    if len(body) > _STATUS_READ_MAX or b'"resolved"' not in body:
        return False
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(said, dict) and said.get("status") == "resolved"


def _answer(what: dict[str, object]) -> Answer:
    return answers.json_answer(200, what, "heartbeat")
