"""How alerts collapse into a storm's incident, and what its timeline says: that it began, how much it took in, that it ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.incidents.rules.flood import StormRule
from app.incidents.rules.settle import iso
from app.incidents.rules.states import Severity
from app.incidents.rules.storm import Storm, new_storm
from app.incidents.rules.world import Incident, Note, World


def rage(world: World, incident: Incident, *, group: str, why: str, now: datetime) -> None:
    """This will make sure that the incident's storm is going on; another one of the same group ends with it."""
    storm = world.storms.get(incident.id)
    if storm is not None and storm.is_active and not storm.is_new:
        return
    if storm is None:
        storm = world.storms[incident.id] = new_storm(incident_id=incident.id, group=group, now=now)
    elif storm.begins:
        return
    for other in world.storms.values():
        if other.group == group and other.is_active and other is not storm:
            other.end(now)
            world.note(ended(other, world.incidents[other.incident_id].open_alerts, why="its incident is over"))
    storm.begin(now)
    world.raging = world.raging | {group}
    incident.happened.append("storm")
    summary = "An alert storm began: new alerts collapse into this incident"
    data = {"times": storm.times, "began_at": iso(now)}
    world.note(Note(incident_id=incident.id, kind="storm.began", summary=summary, reason=why, data=data))


def take_in(world: World, incident: Incident, labels: Mapping[str, str], *, rule: StormRule, now: datetime) -> bool:
    """This will count a new alert where its incident is a storm's, and say whether it is."""
    storm = world.storms.get(incident.id)
    if storm is None:
        return False
    storm.take_in(labels, rule=rule, now=now)
    if storm.milestone == storm.collapsed:
        summary = f"{storm.collapsed} alerts have collapsed into this incident"
        data = {"collapsed": storm.collapsed}
        world.note(
            Note(incident_id=incident.id, kind="storm.grew", summary=summary, reason="every alert is kept", data=data)
        )
    return True


def ended(storm: Storm, firing: Mapping[Severity, int], *, why: str) -> Note:
    """This will return the line that says what a storm took in, now that it is over."""
    still = sum(firing.values())
    summary = (
        f"The alert storm ended: {storm.collapsed} alerts collapsed into this incident, {still} of them still fire"
    )
    return Note(
        incident_id=storm.incident_id, kind="storm.ended", summary=summary, reason=why, data=taken(storm, firing)
    )


def taken(storm: Storm, firing: Mapping[Severity, int]) -> dict[str, Any]:
    """This will return the storm's counts, for machines."""
    by_severity = {severity.value: firing.get(severity, 0) for severity in Severity}
    return {
        "began_at": iso(storm.began_at),
        "collapsed": storm.collapsed,
        "firing": by_severity,
        "resolved": storm.collapsed - sum(by_severity.values()),
        "top": storm.top.as_json(),
    }
