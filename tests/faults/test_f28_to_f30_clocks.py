"""Clocks that are wrong: of an api, of a worker, of a relay and of a sender."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from app.core.clock import FakeClock
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.service import list_refusals
from app.observability.metrics import REGISTRY
from tests.factories.ingest import Sender, alert_body, committed_source, signed_headers
from tests.faults.rig import _faketime
from tests.faults.scene import Scene
from tests.faults.sender import headers_of
from tests.fixtures.database import make_tenant
from tests.fixtures.wait import wait_until

# The times of files stay true: a process that saw all of them shifted would compile each module anew, and leave the next
# process to do so again.
TRUE_FILES = {"NO_FAKE_STAT": "1"}


@pytest.mark.fault("F28")
async def test_an_api_whose_clock_is_off_leaves_the_rotation_and_its_neighbour_takes_what_is_fresh(
    scene: Scene,
) -> None:
    scene.stack.start("api2", skew_s=600, **TRUE_FILES)
    await scene.stack.answering("api2")
    one = scene.alert()
    async with httpx.AsyncClient(base_url=scene.stack.url_of("api2"), timeout=5) as client:
        ready = await client.get("/readyz")
        health = await client.get("/health/db")
        assert (ready.status_code, health.status_code) == (503, 503), f"{health.text}\n{scene.stack.tail('api2')}"
        assert 590 < health.json()["clock_skew_s"] < 610
        refused = await client.post(one.endpoint.url_path, content=one.body, headers=headers_of(one))
    assert refused.status_code == 401, "why it must not stay in rotation"
    assert (await scene.post(one)).status_code == 202
    async with httpx.AsyncClient(base_url=scene.stack.api_url, timeout=5) as client:
        assert (await client.get("/readyz")).status_code == 200
    await scene.verdict()


@pytest.mark.fault("F29")
@pytest.mark.parametrize("skew_s", [-3600, 3600])
async def test_a_worker_whose_clock_is_an_hour_off_does_nothing_twice_and_nothing_late(
    scene: Scene, skew_s: int
) -> None:
    await scene.ward.add_runbooks()
    services = [await scene.ward.add_service(scene.sink_url, f"s{number}") for number in range(3)]
    scene.stack.restart("worker", skew_s=skew_s, **TRUE_FILES)
    await scene.send(*services, *(scene.alert(f"k{n % 4}", minute=n) for n in range(20)), over_s=2)
    await scene.verdict()
    assert len(scene.sink.calls) == 3
    outcomes = {run["outcome"] for run in (await scene.ward.get("/v1/runs"))["items"]}
    assert outcomes == {"recovered"}, "no timer an hour late, no deadline an hour early"


def set_offset(file: Path, seconds: int) -> None:
    """This will move the wall clock of the process that reads the file at each look; never half a file is read."""
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{seconds:+d}\n")
    fresh.replace(file)


def said_at(log: str) -> list[datetime]:
    """The time of each line of a process's log, in the order of the lines."""
    lines = [line for line in log.splitlines() if line.startswith("{")]
    return [datetime.fromisoformat(json.loads(line)["timestamp"]) for line in lines]


@pytest.mark.fault("F29")
@pytest.mark.timeout(240)  # with such a clock everything takes longer
@pytest.mark.parametrize("jump_s", [-3600, 3600])
async def test_a_worker_whose_clock_jumps_while_it_acts_acts_once(scene: Scene, tmp_path: Path, jump_s: int) -> None:
    offset, log = tmp_path / "offset", scene.rig.folder / "worker.log"
    set_offset(offset, 0)
    await scene.ward.add_runbooks()
    service = await scene.ward.add_service(scene.sink_url, "web")
    began = len(log.read_bytes())
    # The monotonic clock goes on as it does on a machine whose wall clock is set.
    lies = {"LD_PRELOAD": _faketime(), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_CACHE_DURATION": "1"}
    lies |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", **TRUE_FILES}
    await scene.arm("worker", "effect.after_intent=sleep:2.5s@once", **lies)
    await scene.send(service)
    await scene.until("effects", "state = 'intent'", timeout_s=80)
    assert await scene.count("jobs", "kind = 'remediation.advance_run' and state = 'running'") == 1
    set_offset(offset, jump_s)
    assert await scene.count("effects", "state = 'intent'") == 1, "it jumped in the midst of the act"
    await scene.send(*(scene.alert(f"k{n % 4}", minute=n) for n in range(20)))
    await scene.verdict()
    assert len(scene.sink.calls) == 1
    assert (await scene.outcome_of(service))["outcome"] == "recovered"
    times = said_at(log.read_bytes()[began:].decode())
    jumps = [round((after - before).total_seconds(), -2) for before, after in pairwise(times)]
    assert jumps.count(jump_s) == 1, "once, and for all that came after"


@pytest.mark.fault("F29")
async def test_a_relay_whose_clock_is_a_year_ahead_deletes_nothing_and_makes_no_odd_partitions(scene: Scene) -> None:
    count = "select count(*) from tocsin_private.delivery_partitions() where $1::uuid is not null"
    await scene.send(scene.alert("kept"))
    await scene.rest()
    before = await scene.ward.value(count)
    began = len((scene.rig.folder / "relay.log").read_text())
    scene.stack.restart("relay", skew_s=366 * 86_400, **TRUE_FILES)
    await scene.send(scene.alert("moved"))
    await scene.rest()

    async def swept() -> bool:
        # The sweeps run one after the other; the last gauge of a round says that all have run.
        ports = scene.stack.metrics_ports("relay")
        async with httpx.AsyncClient(timeout=5) as client:
            said = (await client.get(f"http://127.0.0.1:{ports[0]}/metrics")).text if ports else ""
        return re.search(r"^tocsin_deliveries_partitions(?:_\w+)? [1-9]", said, re.MULTILINE) is not None

    await wait_until(swept, timeout_s=20, every_s=0.2, what=f"the relay sweeps\n{scene.stack.tail('relay')[-began:]}")
    assert await scene.ward.value(count) == before
    assert await scene.count("deliveries") == 2
    await scene.verdict()


@pytest.mark.fault("F30")
async def test_a_sender_whose_clock_is_off_is_refused_and_its_tenant_sees_why(
    scratch_sender: Sender, scratch_resources: Resources, clock: FakeClock
) -> None:
    database = scratch_resources.get(Database)
    tenant = await make_tenant(database)
    source = await committed_source(scratch_resources, tenant)
    counted = ("tocsin_ingest_refused_total", {"reason": "skew"})
    before = REGISTRY.get_sample_value(*counted) or 0
    for minutes in (-6, 6):
        body = alert_body()
        headers = signed_headers(source, body, clock.now() + timedelta(minutes=minutes))
        answer = await scratch_sender.client.post(source.url_path, content=body, headers=headers)
        assert answer.status_code == 401
    assert REGISTRY.get_sample_value(*counted) == before + 2, "operators see it too"
    await scratch_sender.app.aclose()
    async with tenant_session(database, tenant) as session:
        found = await list_refusals(session, source_id=source.source.id, now=clock.now())
    assert [(row.reason, row.count) for row in found] == [("skew", 2)]
