"""From firing to the end: the same key, one incident, and an end that really closes it, for each source and any ids."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.rules.signals import Signal
from app.incidents.rules.states import AlertOutcome, AlertStatus, IncidentState
from app.ingest.rules import values
from app.ingest.sources import get_source
from tests.incidents.rules.world_maker import Desk
from tests.ingest.sources.stories import FIRST, ONGOING, STORIES, Story, minutes_on

every_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.id)
with_names = pytest.mark.parametrize("story", [story for story in STORIES if story.names], ids=lambda story: story.id)
# Neither blank nor a variable that the sender did not fill in: those are no identity, and are refused or left out.
IDENTITIES = st.one_of(
    st.text(min_size=1, max_size=60).filter(lambda text: values.one_line(text) and not set("${*") & set(text)),
    st.from_regex(r"[A-Za-z0-9:/_.-]{1,300}", fullmatch=True).filter(lambda text: text != "null"),
)


@every_story
def test_the_end_closes_the_incident_that_the_firing_opened(story: Story) -> None:
    desk = Desk()
    fired = story.signals(story.firing, received_at=minutes_on(-110), seq=1)[0]
    opened = desk.apply(fired)[0]
    assert opened.outcome is AlertOutcome.OPENED
    ended = story.signals(story.resolved, received_at=minutes_on(0), seq=2)[0]
    assert (ended.key, ended.group_key) == (fired.key, fired.group_key)
    closed = desk.apply(ended)[0]
    assert closed.outcome is AlertOutcome.RESOLVED, closed.reason
    assert closed.incident_id == opened.incident_id
    assert desk.incident(fired.key).state is IncidentState.RESOLVED


@pytest.mark.parametrize("slug", sorted(ONGOING))
def test_the_end_closes_it_whatever_came_between(slug: str) -> None:
    story, desk = FIRST[slug], Desk()
    fired = story.signals(story.firing, received_at=minutes_on(-110), seq=1)[0]
    desk.apply(fired)
    for place, sample in enumerate(ONGOING[slug]):
        said = story.signals(sample, received_at=minutes_on(-100 + place), seq=2 + place)[0]
        assert said.key == fired.key, sample
        desk.apply(said)
        assert desk.incident(fired.key).state is not IncidentState.RESOLVED, sample
    desk.apply(story.signals(story.resolved, received_at=minutes_on(0), seq=90)[0])
    assert desk.incident(fired.key).state is IncidentState.RESOLVED


@pytest.mark.parametrize("slug", ["pagerduty", "zabbix", "nagios", "icinga2", "checkmk", "newrelic"])
def test_who_acknowledges_over_there_acknowledges_here(slug: str) -> None:
    story, desk = FIRST[slug], Desk()
    fired = story.signals(story.firing, received_at=minutes_on(-110), seq=1)[0]
    desk.apply(fired)
    sample = next(name for name in ONGOING[slug] if name.startswith("ack"))
    desk.apply(story.signals(sample, received_at=minutes_on(-100), seq=2)[0])
    assert desk.incident(fired.key).state is IncidentState.ACKNOWLEDGED
    assert story.events(sample)[0].note.startswith(("Acknowledged by", "Ada Example acknowledged"))


# Legacy alerting gives no times; of Prometheus' word the arrival decides (below).
@pytest.mark.parametrize(
    "story",
    [story for story in STORIES if "legacy" not in story.firing and story.slug != "prometheus"],
    ids=lambda story: story.id,
)
def test_an_old_firing_that_comes_late_does_not_bring_it_back(story: Story) -> None:
    desk = Desk()
    fired = story.signals(story.firing, received_at=minutes_on(-110), seq=1)[0]
    desk.apply(fired)
    desk.apply(story.signals(story.resolved, received_at=minutes_on(0), seq=2)[0])
    late = desk.apply(story.signals(story.firing, received_at=minutes_on(-109), seq=3)[0])[0]
    assert late.outcome is AlertOutcome.LATE
    assert desk.status(fired.key) is AlertStatus.RESOLVED


class TestPrometheus:
    """Each delivery says until when its word holds, and nothing else; the samples hold until 10:19 and 10:16."""

    story = FIRST["prometheus"]

    def fires(self, minute: float, seq: int) -> Signal:
        return self.story.signals("firing", received_at=minutes_on(minute), seq=seq)[0]

    def is_over(self, minute: float, seq: int) -> Signal:
        return self.story.signals("resolved", received_at=minutes_on(minute), seq=seq)[0]

    def test_its_end_is_dated_as_prometheus_dates_it_and_repeats_change_nothing(self) -> None:
        desk = Desk()
        fired = self.fires(-110, 1)
        desk.apply(fired)
        outcomes = [desk.apply(self.is_over(-108 + count, 2 + count))[0].outcome for count in range(5)]
        assert outcomes == [AlertOutcome.RESOLVED, *[AlertOutcome.IGNORED] * 4]
        assert desk.incident(fired.key).resolved_at == datetime(2026, 3, 2, 10, 16, 34, 123_000, UTC)

    def test_a_word_that_was_held_up_does_not_end_it_for_good(self) -> None:
        """After an outage of ours a firing arrives that had lapsed; the next minute's one tells that it fires on."""
        desk = Desk()
        fired = self.fires(-110, 1)
        desk.apply(fired)
        held_up = desk.apply(self.fires(-100, 2))[0]
        assert held_up.outcome is AlertOutcome.RESOLVED
        next_word = dataclasses.replace(fired, order=(fired.at, 3, 0), received_at=minutes_on(-99))
        again = desk.apply(next_word)[0]
        assert again.outcome is AlertOutcome.REOPENED
        assert again.incident_id == held_up.incident_id
        assert desk.incident(fired.key).is_open

    def test_an_old_firing_that_comes_late_had_lapsed(self) -> None:
        desk = Desk()
        fired = self.fires(-110, 1)
        desk.apply(fired)
        desk.apply(self.is_over(-108, 2))
        assert desk.apply(self.fires(-60, 3))[0].outcome is AlertOutcome.IGNORED
        assert desk.status(fired.key) is AlertStatus.RESOLVED


@with_names
@given(identity=IDENTITIES)
def test_firing_and_end_share_their_key_for_any_identity(story: Story, identity: str) -> None:
    fired, ended = story.events(story.firing, identity), story.events(story.resolved, identity)
    assert len(fired) == len(ended) == 1
    assert fired[0].dedup_key == ended[0].dedup_key
    assert fired[0].group == ended[0].group
    first = story.signals(story.firing, received_at=minutes_on(-110), seq=1, identity=identity)[0]
    last = story.signals(story.resolved, received_at=minutes_on(0), seq=2, identity=identity)[0]
    assert first.key == last.key
    assert (first.status, last.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert last.order > first.order


@with_names
@given(one=IDENTITIES, other=IDENTITIES)
def test_other_identities_are_other_alerts(story: Story, one: str, other: str) -> None:
    left, right = (story.events(story.firing, identity)[0].dedup_key for identity in (one, other))
    if values.one_line(one) != values.one_line(other):
        assert left != right


@every_story
def test_what_a_person_reads_at_night_says_what_it_is_about(story: Story) -> None:
    event = story.events(story.firing)[0]
    assert 5 <= len(event.title) <= 200
    assert not event.title.startswith(("{", "[", "/subscriptions"))
    assert event.labels, "nothing to group by"
    assert story.slug == "pagerduty" or event.labels.get("alertname") or "issue" in event.labels


@pytest.mark.parametrize("slug", sorted(FIRST))
def test_the_first_curl_line_opens_one_incident(slug: str) -> None:
    source = get_source(slug)
    events = source.parse(orjson.dumps(dict(source.example)), {}, source.config_model())
    assert [event.status for event in events] == [AlertStatus.FIRING]
    assert events[0].raw_severity == "" or events[0].raw_severity.lower() in source.severities
    assert events[0].ends_at is None or events[0].ends_at.year > 2100
    assert not events[0].warnings
