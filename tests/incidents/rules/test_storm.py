"""When a flood is a storm, what collapses, what does not, and that the counts add up."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.rules.flood import FLOOD_GROUP, TENANT_FLOOD, Room, StormRule
from app.incidents.rules.states import AlertOutcome, AlertStatus, IncidentState, Severity
from app.incidents.rules.storm import MAX_LABELS, MAX_VALUES, Top, is_over, new_storm
from tests.incidents.rules.world_maker import START, Desk, resolve, signal

RULE = StormRule(opens=3, p0_opens=2)


def desk_in_flood(*, room: Room | None = None, group: str = FLOOD_GROUP) -> Desk:
    """A desk whose source may open three more incidents, with the flood's group locked."""
    desk = Desk(storm=RULE)
    desk.world.room = room or Room(source=3, tenant=1000, p0=2)
    desk.world.groups[group] = None
    return desk


def test_what_comes_on_top_collapses_into_one_incident() -> None:
    desk = desk_in_flood()
    verdicts = desk.apply(*(signal(n, key=f"k{n}") for n in range(10)))
    assert Counter(verdict.outcome for verdict in verdicts) == {AlertOutcome.OPENED: 3, AlertOutcome.COLLAPSED: 7}
    assert len(desk.open_incidents()) == 4
    (storm,) = desk.world.storms.values()
    assert storm.collapsed == 7
    incident = desk.world.incidents[storm.incident_id]
    assert (incident.title, incident.open_alerts[Severity.P2]) == ("Alert storm from probe", 7)
    assert desk.kinds().count("storm.began") == 1
    assert all(note.kind != "alert.opened" or note.incident_id != incident.id for note in desk.world.notes)


def test_resolves_count_down_and_the_last_one_ends_the_incident() -> None:
    desk = desk_in_flood(room=Room(source=0, tenant=9, p0=0))
    desk.apply(*(signal(n, key=f"k{n}") for n in range(4)))
    desk.apply(*(resolve(10, key=f"k{n}") for n in range(3)))
    (storm,) = desk.world.storms.values()
    incident = desk.world.incidents[storm.incident_id]
    assert (incident.is_open, incident.open_alerts.total(), storm.collapsed) == (True, 1, 4)
    desk.apply(resolve(11, key="k3"))
    assert incident.state is IncidentState.RESOLVED
    assert storm.is_active, "the flood may go on: what comes next belongs to the same incident"
    (again,) = desk.apply(signal(12, key="k9"))
    assert (again.incident_id, again.outcome) == (incident.id, AlertOutcome.COLLAPSED)
    assert incident.is_open


def test_an_alert_that_fires_again_in_the_storm_is_not_counted_twice() -> None:
    desk = desk_in_flood(room=Room(source=0, tenant=9, p0=0))
    desk.apply(signal(0, key="a"), signal(0, key="b"))
    desk.apply(resolve(1, key="a"))
    (again,) = desk.apply(signal(2, key="a"))
    (storm,) = desk.world.storms.values()
    assert (again.outcome, storm.collapsed) == (AlertOutcome.REOPENED, 2)
    assert desk.world.incidents[storm.incident_id].open_alerts.total() == 2


def test_p0_has_an_incident_of_its_own_up_to_a_bound() -> None:
    desk = desk_in_flood(room=Room(source=0, tenant=9, p0=2))
    verdicts = desk.apply(*(signal(n, key=f"k{n}", severity=Severity.P0) for n in range(4)))
    assert [verdict.outcome for verdict in verdicts] == [AlertOutcome.OPENED] * 2 + [AlertOutcome.COLLAPSED] * 2
    (storm,) = desk.world.storms.values()
    assert desk.world.incidents[storm.incident_id].severity is Severity.P0, "whoever pages hears of it"


def test_what_belongs_to_an_open_incident_goes_there() -> None:
    desk = desk_in_flood()
    desk.apply(*(signal(n, key=f"k{n}", group="web") for n in range(2)))
    desk.world.room = Room(source=0, tenant=9, p0=0)
    (joined,) = desk.apply(signal(3, key="k3", group="web"))
    assert joined.outcome is AlertOutcome.OPENED
    assert desk.world.storms == {}


def test_a_flood_of_the_whole_tenant_has_a_group_of_its_own() -> None:
    desk = desk_in_flood(room=Room(source=5, tenant=0, p0=0), group=TENANT_FLOOD)
    (verdict,) = desk.apply(signal(0))
    assert verdict.outcome is AlertOutcome.COLLAPSED
    (storm,) = desk.world.storms.values()
    assert storm.group == TENANT_FLOOD


def test_a_group_that_is_not_locked_takes_nothing() -> None:
    desk = Desk(storm=RULE)
    desk.world.room = Room(source=0, tenant=0, p0=0)
    (verdict,) = desk.apply(signal(0))
    assert verdict.outcome is AlertOutcome.OPENED


def test_an_acknowledgement_of_one_alert_does_not_speak_for_a_storm() -> None:
    desk = desk_in_flood(room=Room(source=0, tenant=9, p0=0))
    desk.apply(signal(0, key="a"), signal(0, key="b"))
    (said,) = desk.apply(signal(1, key="a", status=AlertStatus.ACKNOWLEDGED, origin="o"))
    assert said.outcome is AlertOutcome.IGNORED
    assert desk.incident("a").state is IncidentState.OPEN


def test_a_storm_that_went_on_elsewhere_ends_when_another_incident_takes_over() -> None:
    desk = desk_in_flood(room=Room(source=0, tenant=9, p0=0))
    desk.apply(signal(0, key="a"))
    (first,) = desk.world.storms.values()
    desk.apply(resolve(1, key="a"))
    (later,) = desk.apply(signal(100, key="b"))
    assert later.incident_id != first.incident_id
    assert not first.is_active
    assert desk.world.storms[later.incident_id or UUID(int=0)].is_active
    assert desk.kinds().count("storm.ended") == 1


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        ({"open_now": 0, "opened": 0, "p0_opened": 0, "tenant_opened": 0}, None),
        ({"open_now": 0, "opened": 3, "p0_opened": 0, "tenant_opened": 3}, FLOOD_GROUP),
        ({"open_now": 500, "opened": 0, "p0_opened": 0, "tenant_opened": 0}, FLOOD_GROUP),
        ({"open_now": 0, "opened": 0, "p0_opened": 0, "tenant_opened": 1000}, TENANT_FLOOD),
    ],
)
def test_what_makes_a_flood(room: dict[str, int], expected: str | None) -> None:
    assert Room.under(RULE, **room).flood(raging=frozenset()) == expected


def test_a_storm_that_goes_on_takes_everything_however_few_there_are() -> None:
    assert Room().flood(raging=frozenset({FLOOD_GROUP})) == FLOOD_GROUP


def test_it_begins_at_many_and_goes_on_at_few() -> None:
    rule, now = StormRule(opens=100, window_s=60, quiet_s=300), START
    storm = new_storm(incident_id=UUID(int=1), group=FLOOD_GROUP, now=now)
    storm.begin(now)
    for second in range(0, 600, 2):  # 30 a minute: below what began it, above what ends it
        storm.take_in({}, rule=rule, now=now + timedelta(seconds=second))
    assert storm.busy_at > now + timedelta(seconds=500)
    for second in range(600, 1200, 10):  # 6 a minute
        storm.take_in({}, rule=rule, now=now + timedelta(seconds=second))
    assert is_over(busy_at=storm.busy_at, quiet=rule.quiet, now=now + timedelta(seconds=1200))


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 60).map(str)), max_size=300))
def test_label_counts_are_exact_and_bounded(alerts: list[dict[str, str]]) -> None:
    top = Top()
    for labels in alerts:
        top.count(labels)
    counted = [labels for labels in alerts if labels]
    tracked = set(top.values)
    assert len(tracked) <= MAX_LABELS
    seen_from = next((n for n, labels in enumerate(alerts) if labels), 0)
    for name in tracked:
        having = [labels[name] for labels in alerts[seen_from:] if name in labels]
        assert len(top.values[name]) <= MAX_VALUES
        assert sum(top.values[name].values()) + top.other.get(name, 0) == len(having)
        assert all(count == having.count(value) for value, count in top.values[name].items())
    assert bool(tracked) == bool(counted)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["fire", "fire", "fire", "resolve"]),
            st.integers(0, 15),
            st.sampled_from(list(Severity)),
        ),
        max_size=80,
    ),
    room=st.integers(0, 6),
    batch=st.integers(1, 9),
)
def test_counts_add_up_whatever_comes(steps: list[tuple[str, int, Severity]], room: int, batch: int) -> None:
    desk = desk_in_flood(room=Room(source=room, tenant=1000, p0=1))
    episodes: dict[UUID, UUID] = {}
    signals = [
        (signal if what == "fire" else resolve)(at, key=f"k{key}", severity=severity, seq=at)
        for at, (what, key, severity) in enumerate(steps)
    ]
    for first in range(0, len(signals), batch):
        for verdict in desk.apply(*signals[first : first + batch]):
            if verdict.alert_id is not None and verdict.incident_id is not None:
                episodes[verdict.alert_id] = verdict.incident_id
    assert len(desk.world.storms) <= 1
    firing = Counter(
        (alert.incident_id, alert.severity)
        for head in desk.world.heads.values()
        if (alert := head.alert) is not None and alert.is_firing
    )
    for incident in desk.world.incidents.values():
        for severity in Severity:
            assert incident.open_alerts[severity] == firing[incident.id, severity]
        assert incident.is_open == (incident.open_alerts.total() > 0)
    for storm in desk.world.storms.values():
        assert storm.collapsed == sum(home == storm.incident_id for home in episodes.values())
    own = [i for i in desk.world.incidents.values() if i.id not in desk.world.storms]
    assert len(own) <= room + 1
