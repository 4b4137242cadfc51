"""A missed beat opens an alert, the next one ends it; and nothing of ours may raise a false one."""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest

from app.auth.rules import Role
from app.core.ids import TenantId
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.heartbeats import service
from app.ingest.heartbeats.jobs import settle_soon
from app.ingest.heartbeats.models import HeartbeatRow
from app.ingest.heartbeats.schemas import HeartbeatUpdate
from app.ingest.heartbeats.service import HeartbeatNameTaken, TooManyHeartbeats
from app.ingest.repository import watches
from app.ingest.service import SourceNotFound
from tests.factories.access import make_tokens
from tests.factories.ingest import ACTOR, EPOCH, committed_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.ingest.heartbeats.conftest import Watched, make_heartbeat

FIRING = ("heartbeat:nightly", "firing", "P0")
RESOLVED = ("heartbeat:nightly", "resolved", "P0")


async def test_it_is_watched_from_its_first_beat_on(watched: Watched) -> None:
    await watched.pass_time(10_000)
    assert (await watched.alerts(), await watched.state()) == ([], "new")
    assert (await watched.beat()).status_code == 200
    assert await watched.state() == "up"
    await watched.pass_time(3599)
    assert await watched.alerts() == []
    await watched.pass_time(2)
    assert (await watched.alerts(), await watched.state()) == ([FIRING], "late")


async def test_the_next_beat_ends_the_alert_and_starts_the_watch_again(watched: Watched) -> None:
    await watched.beat()
    await watched.pass_time(3601)
    await watched.beat()
    await run_jobs(watched.resources)
    assert (await watched.alerts(), await watched.state()) == ([RESOLVED], "up")
    assert await watched.rows("select state from incidents") == [("resolved",)]
    await watched.pass_time(3601)
    assert await watched.state() == "late"


async def test_many_beats_leave_one_timer(watched: Watched) -> None:
    for _ in range(20):
        await watched.beat()
    keys = [key for (key,) in await watched.rows("select unique_key from jobs where state = 'scheduled'")]
    assert sorted(key.endswith(":now") for key in keys) == [False, True]
    await run_jobs(watched.resources)
    assert await watched.rows("select beats from heartbeats") == [(20,)]
    assert len(await watched.rows("select 1 from jobs where state = 'scheduled'")) == 1


async def test_each_change_of_the_alert_is_a_delivery_that_can_be_followed(watched: Watched) -> None:
    await watched.beat()
    await watched.pass_time(3601)
    ((state, body, incidents),) = await watched.rows("select state, body, result->'incidents' from deliveries")
    assert state == "processed"
    assert orjson.loads(body)["is"] == "missed"
    assert len(incidents) == 1
    ((opened, started),) = await watched.rows(
        "select h.alerted_at >= h.deadline_at, a.started_at = h.deadline_at from heartbeats h, alerts a"
    )
    assert (opened, started) == (True, True), "the alert is dated from the deadline, not from when it was noticed"


async def test_a_failure_that_its_sender_reports_alerts_at_once_and_once(watched: Watched) -> None:
    await watched.beat()
    for _ in range(3):
        assert (await watched.beat("nightly/fail")).status_code == 200
        await run_jobs(watched.resources)
    assert (await watched.alerts(), await watched.state()) == ([FIRING], "failed")
    assert await watched.rows("select title from alerts") == [("nightly reported a failure",)]
    await watched.beat()
    await run_jobs(watched.resources)
    assert (await watched.alerts(), await watched.state()) == ([RESOLVED], "up")


async def test_after_an_outage_of_ours_everybody_gets_another_turn(watched: Watched) -> None:
    await watched.beat()
    await watched.pass_time(3600 + 31)
    assert (await watched.alerts(), await watched.state()) == ([], "up")
    await watched.pass_time(3601)
    assert await watched.alerts() == [FIRING]


async def test_the_end_of_an_always_firing_alert_is_no_beat(watched: Watched) -> None:
    await watched.beat(body=orjson.dumps({"status": "firing", "alerts": []}))
    answer = await watched.beat(body=orjson.dumps({"status": "resolved", "alerts": []}))
    assert answer.status_code == 200
    assert await watched.rows("select beats from heartbeats") == [(1,)]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_plain_request_will_do(watched: Watched, method: str) -> None:
    answer = await watched.beat(method=method)
    assert answer.status_code == 200
    assert answer.json()["state"] == "up"
    assert answer.json()["next_before"]


@pytest.mark.parametrize("rest", ["", "other", "nightly/x", "NIGHTLY", "nightly/fail/fail", "x" * 200])
async def test_a_heartbeat_that_is_not_there_is_said_to_be_missing(watched: Watched, rest: str) -> None:
    answer = await watched.beat(rest)
    assert answer.status_code == 404
    assert answer.json()["code"] == "heartbeat.not_found"
    assert await watched.rows("select beats from heartbeats") == [(0,)]


async def test_who_proves_nothing_beats_nothing_and_learns_nothing(watched: Watched) -> None:
    path = f"{watched.source.url_path}/heartbeat"
    answers = [
        await watched.sender.client.post(f"{path}/nightly"),
        await watched.sender.client.post(f"{path}/other"),
        await watched.sender.client.post(f"{path}/nightly", headers={"authorization": "Bearer " + "x" * 43}),
        await watched.sender.client.post(f"/in/{'a' * 26}/heartbeat/nightly"),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert await watched.rows("select beats from heartbeats") == [(0,)]


async def test_paused_it_is_silent_and_its_alert_ends(watched: Watched) -> None:
    await watched.beat()
    await watched.pass_time(3601)
    await change(watched, paused=True)
    assert (await watched.alerts(), await watched.state()) == ([RESOLVED], "paused")
    assert (await watched.beat()).json()["state"] == "paused"
    assert await watched.state() == "paused"
    await change(watched, paused=False)
    assert await watched.state() == "new"


async def test_a_shorter_interval_counts_at_once(watched: Watched) -> None:
    await watched.beat()
    await watched.pass_time(120)
    await change(watched, interval_s=110)
    assert await watched.alerts() == [FIRING]


async def set_source(watched: Watched, api: httpx.AsyncClient, change: str) -> None:
    """Pause, resume or delete the source as its owner does."""
    headers = {"authorization": (await make_tokens(watched.resources, watched.tenant_id))[Role.ENGINEER]}
    path = f"/v1/sources/{watched.source.source.id}"
    if change == "delete":
        answer = await api.delete(path, headers=headers)
    else:
        answer = await api.patch(path, json={"state": change}, headers=headers)
    assert answer.is_success, answer.text
    await run_jobs(watched.resources)


async def test_a_source_that_takes_nothing_raises_nothing(watched: Watched, scratch_api: httpx.AsyncClient) -> None:
    await watched.beat()
    await set_source(watched, scratch_api, "paused")
    await watched.pass_time(3601)
    assert await watched.alerts() == []


@pytest.mark.parametrize("change", ["paused", "delete"])
async def test_a_source_that_takes_nothing_any_more_leaves_no_alert_open(
    watched: Watched, scratch_api: httpx.AsyncClient, change: str
) -> None:
    """Its sender is turned away from now on, so no beat could ever end it."""
    await watched.beat()
    await watched.pass_time(3601)
    assert await watched.alerts() == [FIRING]
    await set_source(watched, scratch_api, change)
    assert await watched.alerts() == [RESOLVED]


@pytest.mark.parametrize("was", ["up", "late"])
async def test_a_source_that_is_resumed_is_watched_at_once_and_gives_each_another_turn(
    watched: Watched, scratch_api: httpx.AsyncClient, was: str
) -> None:
    """Who fell silent during the pause must be missed, whether or not it is ever heard of again (I5)."""
    await watched.beat()
    if was == "late":
        await watched.pass_time(3601)
    await set_source(watched, scratch_api, "paused")
    await watched.pass_time(3605)
    await set_source(watched, scratch_api, "active")
    assert await watched.state() == "up"
    assert FIRING not in await watched.alerts()
    # Said again, it must not postpone anything.
    await watched.pass_time(3000)
    await set_source(watched, scratch_api, "active")
    await watched.pass_time(601)
    assert await watched.state() == "late"


async def test_deleting_it_ends_its_alert(watched: Watched) -> None:
    await watched.beat()
    await watched.pass_time(3601)
    async with tenant_session(watched.resources.get(Database), watched.tenant_id) as session:
        await service.delete_heartbeat(session, heartbeat_id=watched.heartbeat.id, actor=ACTOR, now=EPOCH)
    assert await watched.alerts() == [RESOLVED]
    await run_jobs(watched.resources)
    assert await watched.rows("select state from jobs where state = 'dead'") == []


async def test_a_missed_beat_holds_however_short_the_sources_alerts_live(watched: Watched) -> None:
    await watched.execute("update sources set resolve_timeout_s = 60")
    await watched.beat()
    await watched.pass_time(3601)
    assert await watched.rows("select expires_at from alerts") == [(None,)]


async def test_a_beat_that_races_with_its_deadline_leaves_the_two_agreed(watched: Watched) -> None:
    """Whoever comes first: in the end a beat in time has no alert, and the watch goes on (I5)."""
    await watched.beat()
    await run_jobs(watched.resources)
    for _ in range(10):
        await watched.execute("update heartbeats set deadline_at = clock_timestamp()")
        await watched.execute("update jobs set run_at = now() where state = 'scheduled'")
        await asyncio.gather(watched.beat(), run_jobs(watched.resources))
        await run_jobs(watched.resources)
        assert await watched.state() == "up"
        assert all(alert[1] == "resolved" for alert in await watched.alerts())
        assert await watched.rows("select 1 from jobs where state = 'scheduled'"), "nobody looks at the deadline"


async def test_another_tenants_heartbeat_of_the_same_name_is_untouched(watched: Watched) -> None:
    database = watched.resources.get(Database)
    other = await make_tenant(database)
    source = await committed_source(watched.resources, other, profile="bearer")
    await make_heartbeat(watched.resources, other, source.source.id)
    await watched.beat()
    async with tenant_session(database, other) as session:
        rows = await watches.list_watches(session, HeartbeatRow, source_id=None, before=None, limit=10)
    assert [(row.name, row.beats) for row, _ in rows] == [("nightly", 0)]


async def test_names_are_the_sources_own_and_their_number_is_bounded(watched: Watched) -> None:
    source_id = watched.source.source.id
    with pytest.raises(HeartbeatNameTaken):
        await make_heartbeat(watched.resources, watched.tenant_id, source_id)
    for number in range(9):
        await make_heartbeat(watched.resources, watched.tenant_id, source_id, name=f"n{number}")
    with pytest.raises(TooManyHeartbeats):
        await make_heartbeat(watched.resources, watched.tenant_id, source_id, name="one-more")
    assert len(await watched.rows("select id from heartbeats")) == 10, "what is one too many is not kept"
    with pytest.raises(HeartbeatNameTaken):
        await make_heartbeat(watched.resources, watched.tenant_id, source_id, name="n0")
    with pytest.raises(SourceNotFound):
        await make_heartbeat(watched.resources, TenantId(await make_tenant(watched.resources.get(Database))), source_id)


async def change(watched: Watched, **wanted: object) -> None:
    """Change the heartbeat as the endpoint does, and let its job run."""
    async with tenant_session(watched.resources.get(Database), watched.tenant_id) as session:
        await service.update_heartbeat(
            session,
            heartbeat_id=watched.heartbeat.id,
            wanted=HeartbeatUpdate.model_validate(wanted),
            actor=ACTOR,
            now=EPOCH,
        )
        await settle_soon(session, heartbeat_id=watched.heartbeat.id)
    await run_jobs(watched.resources)
