"""Storms between the database and the rules: loading and storing them, and ending one that has blown over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from app.audit.service import Deed, record_many
from app.core.actor import Actor
from app.core.errors import NotFound
from app.core.events import emit
from app.core.ids import IncidentId, SourceId
from app.db.tenancy import TenantSession
from app.incidents.events import StormBegan, StormEnded
from app.incidents.models import StormRow
from app.incidents.repository import locking, writing
from app.incidents.repository import storms as repository
from app.incidents.repository.storms import Survey
from app.incidents.rules.collapse import ended, taken
from app.incidents.rules.flood import FLOOD_GROUP, FLOODS, TENANT_FLOOD, Room, StormRule
from app.incidents.rules.states import Severity
from app.incidents.rules.storm import Storm, Top, is_over
from app.incidents.rules.world import Incident, World
from app.incidents.schemas import LabelCount, StormView, TopLabel
from app.incidents.service.announce import announce_updated, entry_of
from app.incidents.service.reading import get_incident
from app.observability.metrics import counter

log = structlog.get_logger(__name__)

STORMS = counter("tocsin_storms_total", "Alert storms, by what they did: began or ended.", ("what",))
COLLAPSED = counter("tocsin_alerts_collapsed_total", "Alerts that collapsed into a storm's incident.", ())


class NoStorm(NotFound):
    """The incident is no storm's."""

    code = "incident.no_storm"
    title = "The incident is not that of an alert storm"


async def survey(session: TenantSession, *, source_id: UUID, rule: StormRule, now: datetime) -> Survey:
    """This will return what the source has open and opened, up to where it would be a flood."""
    return await repository.survey(
        session,
        source_id=source_id,
        since=now - rule.window,
        most_open=rule.most_open + rule.p0_opens,
        tenant_opens=rule.tenant_opens,
    )


def room_of(found: Survey, rule: StormRule) -> Room:
    """This will return how much room a survey leaves."""
    return Room.under(
        rule,
        open_now=found.open_now,
        opened=found.opened,
        p0_opened=found.p0_opened,
        tenant_opened=found.tenant_opened,
    )


def raging(found: Survey) -> frozenset[str]:
    """This will return the groups of the storms that go on."""
    floods = ((FLOOD_GROUP, found.source_storm), (TENANT_FLOOD, found.tenant_storm))
    return frozenset(group for group, incident_id in floods if incident_id is not None)


async def load_storms(session: TenantSession, incidents: Iterable[Incident]) -> dict[UUID, Storm]:
    """This will return the storms of those of the locked incidents that have one, and set what fires in them.

    Counting a storm's alerts anew for each batch would cost more with every alert that it took in.
    """
    wanted = {incident.id: incident for incident in incidents if incident.group_key in FLOODS}
    if not wanted:
        return {}
    rows = await repository.load_storms(session, incident_ids=sorted(wanted))
    for row in rows:
        wanted[row.incident_id].open_alerts = _firing(row)
    return {row.incident_id: _to_storm(row, wanted[row.incident_id].group_key) for row in rows}


async def store_storms(session: TenantSession, world: World, *, source_id: UUID) -> None:
    """This will write the world's storms; ended ones first, as one of a source goes on at a time."""
    rows = [
        (storm, _storm_row(storm, world.incidents[storm.incident_id].open_alerts, source_id))
        for storm in world.storms.values()
    ]
    await repository.update_storms(session, [row for storm, row in rows if not storm.is_new and not storm.is_active])
    await repository.update_storms(session, [row for storm, row in rows if not storm.is_new and storm.is_active])
    await repository.insert_storms(session, [row for storm, row in rows if storm.is_new])


async def announce_storms(
    session: TenantSession, world: World, *, source_id: SourceId, rule: StormRule, actor: Actor, now: datetime
) -> None:
    """This will emit, audit and count what became of the world's storms."""
    for storm in world.storms.values():
        if storm.begins:
            STORMS.labels("began").inc()
            log.warning("storm.began", incident_id=str(storm.incident_id), group=storm.group)
            began = StormBegan(
                tenant_id=session.tenant_id,
                incident_id=IncidentId(storm.incident_id),
                source_id=source_id if storm.group == FLOOD_GROUP else None,
                quiet_s=rule.quiet_s,
                at=now,
            )
            await _audit(session, storm, "storm.began", {"times": storm.times}, actor, now)
            await emit(session, began)
        if storm.ends:
            await _announce_end(session, storm, world.incidents[storm.incident_id].open_alerts, actor, now)


async def end_storm(
    session: TenantSession, *, incident_id: IncidentId, quiet: timedelta, now: datetime
) -> datetime | None:
    """This will end the incident's storm if it has blown over, and return when to look again where it has not."""
    locked = await locking.lock_incidents(session, ids=[incident_id])
    rows = await repository.load_storms(session, incident_ids=[incident_id]) if locked else []
    if not rows or rows[0].ended_at is not None:
        return None
    row = rows[0]
    if not is_over(busy_at=row.busy_at, quiet=quiet, now=now):
        return row.busy_at + quiet
    firing, storm = _firing(row), _to_storm(row, locked[0].group_key)
    storm.end(now)
    row.ended_at = now
    await session.flush()
    actor = Actor.system("storm-watch")
    why = f"no flood for {quiet.total_seconds():g} s; new alerts have incidents of their own again"
    await writing.insert_timeline(session, [entry_of(ended(storm, firing, why=why), actor, now)])
    await _announce_end(session, storm, firing, actor, now)
    await announce_updated(session, incident_id=incident_id, what="storm", now=now)
    return None


async def get_storm(session: TenantSession, *, incident_id: IncidentId) -> StormView:
    """This will return what a storm's incident took in.

    Raises:
        IncidentNotFound: There is no such incident here.
        NoStorm: It is no storm's.
    """
    await get_incident(session, incident_id=incident_id)
    rows = await repository.load_storms(session, incident_ids=[incident_id])
    if not rows:
        raise NoStorm(incident_id=str(incident_id))
    row = rows[0]
    firing = _firing(row)
    values, other = row.top.get("values", {}), row.top.get("other", {})
    return StormView(
        incident_id=row.incident_id,
        source_id=row.source_id,
        began_at=row.began_at,
        ended_at=row.ended_at,
        busy_at=row.busy_at,
        times=row.times,
        collapsed=row.collapsed,
        firing={severity: firing[severity] for severity in Severity},
        resolved=row.collapsed - firing.total(),
        top=[
            TopLabel(label=name, values=_ranked(counts), other=other.get(name, 0))
            for name, counts in sorted(values.items())
        ],
    )


def _storm_row(storm: Storm, firing: Mapping[Severity, int], source_id: UUID) -> dict[str, Any]:
    return {
        "incident_id": storm.incident_id,
        "source_id": source_id if storm.group == FLOOD_GROUP else None,
        "began_at": storm.began_at,
        "ended_at": storm.ended_at,
        "busy_at": storm.busy_at,
        "window_began_at": storm.window_began_at,
        "window_count": storm.window_count,
        "times": storm.times,
        "collapsed": storm.collapsed,
        **{f"firing_{severity.value.lower()}": firing.get(severity, 0) for severity in Severity},
        "top": storm.top.as_json(),
    }


def _ranked(counts: Mapping[str, int]) -> list[LabelCount]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [LabelCount(value=value, count=count) for value, count in ranked]


def _firing(row: StormRow) -> Counter[Severity]:
    return Counter({severity: getattr(row, f"firing_{severity.value.lower()}") for severity in Severity})


def _to_storm(row: StormRow, group: str) -> Storm:
    return Storm(
        incident_id=row.incident_id,
        group=group,
        began_at=row.began_at,
        ended_at=row.ended_at,
        busy_at=row.busy_at,
        window_began_at=row.window_began_at,
        window_count=row.window_count,
        times=row.times,
        collapsed=row.collapsed,
        # Copied: SQLAlchemy hands out the very objects that it keeps.
        top=Top(
            values={name: dict(counts) for name, counts in row.top.get("values", {}).items()},
            other=dict(row.top.get("other", {})),
        ),
    )


async def _announce_end(
    session: TenantSession, storm: Storm, firing: Mapping[Severity, int], actor: Actor, now: datetime
) -> None:
    STORMS.labels("ended").inc()
    log.info("storm.ended", incident_id=str(storm.incident_id), collapsed=storm.collapsed)
    still = sum(firing.values())
    await _audit(session, storm, "storm.ended", taken(storm, firing) | {"top": None}, actor, now)
    fact = StormEnded(
        tenant_id=session.tenant_id,
        incident_id=IncidentId(storm.incident_id),
        collapsed=storm.collapsed,
        still_firing=still,
        at=now,
    )
    await emit(session, fact)


async def _audit(
    session: TenantSession, storm: Storm, action: str, detail: dict[str, Any], actor: Actor, now: datetime
) -> None:
    subject = f"incident:{storm.incident_id}"
    known = {name: value for name, value in detail.items() if value is not None}
    await record_many(session, [Deed(actor=actor, action=action, subject=subject, detail=known)], now=now)
