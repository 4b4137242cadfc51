"""What fires and what ends it are the same alert, whatever ids a sender makes up; other ids are other alerts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.schemas import AlertStatus
from app.ingest.rules import fields
from tests.ingest.sources.senders import Sent

# Source, what fires, what ends it, and each of the places that tell its alert from others.
PAIRS = [
    ("pingdom", "down", "up", ["check_id"]),
    ("pingdom", "transaction_failing", "transaction_success", ["check_id"]),
    ("uptimerobot", "down_form", "up_form", ["monitorID"]),
    ("uptimerobot", "down_json", "up_json", ["monitorID"]),
    ("uptime_kuma", "down", "up", ["monitor.id"]),
    ("uptime_kuma", "down", "maintenance", ["monitor.id"]),
    ("statuscake", "down", "up", ["Name", "URL"]),
    ("betterstack", "started", "resolved", ["data.id"]),
    ("github", "dependabot_created", "dependabot_fixed", ["alert.number", "repository.id"]),
    ("github", "code_scanning_created", "code_scanning_dismissed", ["alert.number", "repository.id"]),
    ("github", "secret_scanning_created", "secret_scanning_resolved", ["alert.number", "repository.id"]),
    ("github", "workflow_failed", "workflow_succeeded", ["workflow_run.workflow_id", "repository.id"]),
    ("github", "check_run_failed", "check_run_succeeded", ["check_run.name", "check_run.app.slug", "repository.id"]),
    ("github", "deployment_failed", "deployment_succeeded", ["deployment_status.environment", "repository.id"]),
    ("gitlab", "pipeline_failed", "pipeline_succeeded", ["project.id"]),
    ("gitlab", "job_failed", "job_succeeded", ["build_name", "build_stage", "project.id"]),
    ("gitlab", "deployment_failed", "deployment_succeeded", ["environment", "project.id"]),
    ("gitlab", "incident_opened", "incident_closed", ["object_attributes.iid", "project.id"]),
    ("gitlab", "vulnerability_detected", "vulnerability_resolved", ["object_attributes.url"]),
    ("jira", "created", "done", ["issue.id"]),
    ("jira", "created", "deleted", ["issue.id"]),
    ("servicenow", "created", "resolved", ["incident.sys_id"]),
    ("servicenow", "created", "deleted", ["incident.sys_id"]),
    ("opsgenie", "create", "close", ["alert.alertId"]),
    ("opsgenie", "create", "delete", ["alert.alertId"]),
    ("kibana", "active", "recovered", ["rule.id", "alert.id"]),
    ("dynatrace", "open", "resolved", ["PID"]),
    ("dynatrace", "open", "merged", ["PID"]),
]
REPEATS = [
    ("splunk", "alert", "again", ["search_name", "app"]),
    ("graylog", "event", "again", ["event_definition_id", "event.key"]),
]
every_pair = pytest.mark.parametrize(("slug", "fires", "ends", "places"), PAIRS)
IDS = st.one_of(
    st.integers(1, 2**63),
    st.uuids().map(str),
    st.text(min_size=1, max_size=60).filter(lambda text: bool(fields.text_of(text))),
    st.text(alphabet="ab/:-_ é", min_size=200, max_size=1500).filter(lambda text: bool(fields.text_of(text))),
)


def events_of(slug: str, sample: str, values: dict[str, Any]) -> Any:
    return Sent(slug, sample, values).events()


@every_pair
@given(data=st.data())
def test_what_fires_and_what_ends_it_share_the_key(
    slug: str, fires: str, ends: str, places: list[str], data: st.DataObject
) -> None:
    ids = {place: data.draw(IDS, label=place) for place in places}
    (firing,), (resolved,) = events_of(slug, fires, ids), events_of(slug, ends, ids)
    assert (firing.status, resolved.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert firing.dedup_key == resolved.dedup_key
    assert firing.group == resolved.group


@pytest.mark.parametrize(("slug", "fires", "again", "places"), REPEATS)
@given(data=st.data())
def test_a_repeat_of_a_sender_that_never_ends_anything_shares_the_key(
    slug: str, fires: str, again: str, places: list[str], data: st.DataObject
) -> None:
    ids = {place: data.draw(IDS, label=place) for place in places}
    (once,), (twice,) = events_of(slug, fires, ids), events_of(slug, again, ids)
    assert (once.status, twice.status) == (AlertStatus.FIRING, AlertStatus.FIRING)
    assert once.dedup_key == twice.dedup_key


@pytest.mark.parametrize(
    ("slug", "sample", "place"),
    [(slug, fires, place) for slug, fires, _, places in PAIRS + REPEATS for place in places],
)
@given(left=st.uuids().map(str), right=st.uuids().map(str))
def test_another_id_in_any_of_the_places_is_another_alert(
    slug: str, sample: str, place: str, left: str, right: str
) -> None:
    (one,), (other,) = events_of(slug, sample, {place: left}), events_of(slug, sample, {place: right})
    assert (one.dedup_key == other.dedup_key) == (left == right)


@given(host=st.text(min_size=1, max_size=40), other=st.text(min_size=1, max_size=40))
def test_splunks_results_are_told_apart_by_the_fields_that_the_tenant_names(host: str, other: str) -> None:
    (one,) = events_of("splunk", "for_each_result", {"result.host": host})
    (two,) = events_of("splunk", "for_each_result", {"result.host": other})
    assert (one.dedup_key == two.dedup_key) == (fields.text_of(host) == fields.text_of(other))


@given(ref=st.text(min_size=1, max_size=40).filter(lambda text: bool(fields.text_of(text))))
def test_what_fails_on_one_branch_is_not_ended_on_another(ref: str) -> None:
    (on_main,) = events_of("gitlab", "pipeline_failed", {})
    (elsewhere,) = events_of(
        "gitlab", "pipeline_succeeded", {"object_attributes.ref": ref, "project.default_branch": ref}
    )
    assert (on_main.dedup_key == elsewhere.dedup_key) == (fields.text_of(ref) == "main")


def test_a_nightly_pipeline_does_not_end_what_was_pushed() -> None:
    (pushed,), (nightly,) = events_of("gitlab", "pipeline_failed", {}), events_of("gitlab", "pipeline_scheduled", {})
    assert pushed.dedup_key != nightly.dedup_key


def test_a_certificate_that_expires_is_not_ended_by_its_monitor_being_up() -> None:
    (expiry,) = events_of("uptimerobot", "certificate_expires", {})
    (up,) = events_of("uptimerobot", "up_json", {})
    assert expiry.dedup_key != up.dedup_key


@given(days=st.integers(-30, 90), later=st.integers(-30, 90))
def test_reminders_of_one_certificate_are_one_alert(days: int, later: int) -> None:
    said = "[Shop][https://shop.example.com] server certificate shop.example.com will be expired in {} days"
    (one,) = events_of("uptime_kuma", "certificate_expires", {"msg": said.format(days)})
    (other,) = events_of("uptime_kuma", "certificate_expires", {"msg": said.format(later)})
    assert one.dedup_key == other.dedup_key
