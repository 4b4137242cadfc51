"""What fires and what ends it are the same alert: one dedup key, whatever ids a sender makes up, and the end comes later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.ids import DeliveryId, SourceId
from app.incidents.rules.signals import Signal
from app.incidents.schemas import AlertEvent, AlertStatus, SourceFacts
from app.incidents.service.normalise import Delivered, to_signals
from app.ingest import sources
from app.ingest.contract import ParseError
from app.ingest.rules.fields import text_of
from app.ingest.sources import all_sources

FOLDER = Path(sources.__file__).parent
Pair = Callable[[Any], tuple[Any, Any]]


def _kapacitor(identity: Any) -> tuple[Any, Any]:
    alert = {"id": identity, "message": "m", "time": "2026-04-11T02:14:30Z", "duration": 0, "data": {}}
    return {**alert, "level": "CRITICAL"}, {**alert, "level": "OK", "message": "over"}


def _elastalert(identity: Any) -> tuple[Any, Any]:
    ours = {"rule": "r", "key": identity}
    return {"_index": "a-1", "tocsin": ours}, {"_index": "a-2", "tocsin": {**ours, "status": "resolved"}}


def _healthchecks(identity: Any) -> tuple[Any, Any]:
    return {"code": identity, "name": "n", "status": "down"}, {"code": identity, "name": "renamed", "status": "up"}


def _honeycomb(identity: Any) -> tuple[Any, Any]:
    alert = {"id": identity, "name": "n"}
    groups = [{"Group": {"host": "a"}, "Result": 1}]
    return {**alert, "status": "TRIGGERED", "result_groups_triggered": groups}, {**alert, "status": "OK"}


def _rollbar(identity: Any) -> tuple[Any, Any]:
    def event(name: str, level: int) -> dict[str, Any]:
        return {"event_name": name, "data": {"item": {"id": identity, "title": name, "level": level}}}

    return event("new_item", 40), event("resolved_item", 50)


def _bugsnag(identity: Any) -> tuple[Any, Any]:
    def event(trigger: dict[str, Any], event_id: str) -> dict[str, Any]:
        return {"trigger": trigger, "project": {"id": "p"}, "error": {"id": event_id, "errorId": identity}}

    return event({"type": "exception"}, "1"), event({"type": "errorStateManualChange", "stateChange": "fixed"}, "2")


def _cloudflare(identity: Any) -> tuple[Any, Any]:
    alert = {"text": "t", "policy_name": "p", "alert_correlation_id": identity}
    start, end = "ALERT_STATE_EVENT_START", "ALERT_STATE_EVENT_END"
    return {**alert, "alert_event": start, "ts": 1775873670}, {**alert, "text": "over", "alert_event": end}


def _cloudflare_health(identity: Any) -> tuple[Any, Any]:
    def event(state: str, correlation: str) -> dict[str, Any]:
        data = {"health_check_id": identity, "new_health_status": state}
        return {"text": state, "alert_correlation_id": correlation, "data": data}

    return event("Unhealthy", "a"), event("Healthy", "b")


def _riemann(identity: Any) -> tuple[Any, Any]:
    event = {"host": "h", "service": identity, "time": "2026-04-11T02:14:30Z"}
    return {**event, "state": "critical", "metric": 1}, [{**event, "state": "ok"}]


def _vrealize(identity: Any) -> tuple[Any, Any]:
    alert = {"alertId": identity, "resourceName": "r"}
    return {**alert, "status": "ACTIVE", "alertName": "a"}, {**alert, "status": "CANCELED", "alertName": "b"}


def _thousandeyes(identity: Any) -> tuple[Any, Any]:
    trigger, clear = "ALERT_NOTIFICATION_TRIGGER", "ALERT_NOTIFICATION_CLEAR"
    return (
        {"eventType": trigger, "eventId": "1", "alert": {"alertId": identity, "ruleName": "r"}},
        {"eventType": clear, "eventId": "2", "alert": {"alertId": identity, "ruleName": "r", "active": 0}},
    )


def _librenms(identity: Any) -> tuple[Any, Any]:
    alert = {"alert_id": identity, "name": "n"}
    return {**alert, "uid": "1", "state": "1"}, {**alert, "uid": "2", "state": 0}


def _librenms_rule(identity: Any) -> tuple[Any, Any]:
    alert = {"device_id": identity, "rule_id": 3, "hostname": "h"}
    return {**alert, "uid": "1", "state": 1}, {**alert, "uid": "2", "state": 0}


PAIRS: Mapping[str, tuple[str, Pair]] = {
    "kapacitor": ("kapacitor", _kapacitor),
    "elastalert": ("elastalert", _elastalert),
    "healthchecks": ("healthchecks", _healthchecks),
    "honeycomb": ("honeycomb", _honeycomb),
    "rollbar": ("rollbar", _rollbar),
    "bugsnag": ("bugsnag", _bugsnag),
    "cloudflare": ("cloudflare", _cloudflare),
    "cloudflare-health": ("cloudflare", _cloudflare_health),
    "riemann": ("riemann", _riemann),
    "vrealize": ("vrealize", _vrealize),
    "thousandeyes": ("thousandeyes", _thousandeyes),
    "librenms": ("librenms", _librenms),
    "librenms-rule": ("librenms", _librenms_rule),
}
IDENTITIES = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.uuids().map(str), st.text(min_size=1, max_size=60), st.booleans()
)


def _parsed(slug: str, body: Any) -> list[AlertEvent] | None:
    source = all_sources()[slug]
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    try:
        return list(source.parse(raw, {}, source.config_model()))
    except ParseError:
        return None


@pytest.mark.parametrize("name", list(PAIRS))
@given(identity=IDENTITIES)
def test_what_fires_and_what_ends_it_share_the_key(name: str, identity: Any) -> None:
    # Without the check's id its two notifications have nothing in common.
    assume(name != "cloudflare-health" or text_of(identity))
    slug, pair = PAIRS[name]
    firing, resolved = (_parsed(slug, body) for body in pair(identity))
    assert (firing is None) == (resolved is None)
    assume(firing)
    assert firing is not None
    assert resolved is not None
    assert [event.status for event in (*firing, *resolved)] == [AlertStatus.FIRING, AlertStatus.RESOLVED]
    assert firing[0].dedup_key == resolved[0].dedup_key


@pytest.mark.parametrize("name", list(PAIRS))
@given(left=st.uuids().map(str), right=st.uuids().map(str))
def test_different_alerts_have_different_keys(name: str, left: str, right: str) -> None:
    assume(left != right)
    slug, pair = PAIRS[name]
    one, other = _parsed(slug, pair(left)[0]), _parsed(slug, pair(right)[0])
    assert one
    assert other
    assert one[0].dedup_key != other[0].dedup_key


@given(rule=st.text(min_size=1, max_size=20), agent=st.text(min_size=1, max_size=20), log=st.text(max_size=40))
def test_wazuh_repeats_one_alert_for_a_rule_and_an_agent(rule: str, agent: str, log: str) -> None:
    def alert(identity: str, text: str) -> dict[str, Any]:
        return {"id": identity, "rule": {"id": rule, "level": 7}, "agent": {"id": agent}, "full_log": text}

    once, again = _parsed("wazuh", alert("1", "")), _parsed("wazuh", alert("2", log))
    assert (once is None) == (again is None)
    if once and again:
        assert once[0].dedup_key == again[0].dedup_key


SAMPLES = [
    ("kapacitor", "critical", "ok"),
    ("elastalert", "match", "recovered"),
    ("healthchecks", "down", "up"),
    ("honeycomb", "triggered", "ok"),
    ("honeycomb", "burn_alert", "burn_alert_over"),
    ("rollbar", "new_item", "resolved_item"),
    ("rollbar", "exp_repeat_item", "resolved_item"),
    ("bugsnag", "first_exception", "fixed"),
    ("cloudflare", "ddos_start", "ddos_end"),
    ("cloudflare", "origin_error_start", "origin_error_end"),
    ("cloudflare", "health_check_unhealthy", "health_check_healthy"),
    ("riemann", "critical", "ok"),
    ("vrealize", "active", "canceled"),
    ("thousandeyes", "trigger", "clear"),
    ("thousandeyes", "agent_trigger", "agent_clear"),
    ("librenms", "alert", "recovered"),
]
COMES_BACK = [
    ("rollbar", "resolved_item", "reactivated_item"),
    ("rollbar", "resolved_item", "reopened_item"),
    ("bugsnag", "fixed", "reopened"),
    ("bugsnag", "fixed", "unignored"),
]


def _signal(slug: str, sample: str, *, minute: int) -> Signal:
    source = all_sources()[slug]
    found = orjson.loads((FOLDER / slug / "samples" / f"{sample}.json").read_bytes())
    body = found["raw"].encode() if "raw" in found else orjson.dumps(found["body"])
    config = source.config_model.model_validate(found.get("config", {}))
    # Deliveries come when the samples say that things happened; one that says nothing comes hours after the other.
    received = datetime(2026, 4, 11, 2, 15, 10, tzinfo=UTC) + timedelta(minutes=minute)
    facts = SourceFacts(id=SourceId(UUID(int=1)), kind=slug, name=slug, severity_map=source.severities)
    delivered = Delivered(
        delivery_id=DeliveryId(UUID(int=minute)),
        received_at=received,
        seq=minute,
        events=source.parse(body, found.get("headers", {}), config),
    )
    return to_signals(facts, delivered)[0]


@pytest.mark.parametrize(("slug", "begins", "ends"), SAMPLES)
def test_the_end_is_of_the_same_alert_and_newer(slug: str, begins: str, ends: str) -> None:
    first, last = _signal(slug, begins, minute=1), _signal(slug, ends, minute=120)
    assert (first.status, last.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert first.key == last.key
    assert first.order < last.order


@pytest.mark.parametrize(("slug", "ends", "begins"), COMES_BACK)
def test_what_comes_back_is_newer_than_its_end(slug: str, ends: str, begins: str) -> None:
    end, back = _signal(slug, ends, minute=60), _signal(slug, begins, minute=2000)
    assert (end.status, back.status) == (AlertStatus.RESOLVED, AlertStatus.FIRING)
    assert end.key == back.key
    assert end.order < back.order
