"""api, relay and worker die at each step, on the real stack; a retry, a sweep or a lease completes what was begun."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.faults.hearing import listen, measured
from tests.faults.scene import Scene
from tests.faults.wards import tickets
from tests.fixtures.servicedesk import TECHNICIAN_KEY
from tests.fixtures.wait import wait_until


async def lose_the_api(scene: Scene, place: str) -> tuple[int, dict[str, object]]:
    """Send one delivery into the failpoint; return the rows found then, and what the retry at another replica got."""
    await scene.arm("api2", f"{place}=kill@once")
    one = scene.alert()
    with pytest.raises(httpx.HTTPError):
        await scene.post(one, scene.stack.url_of("api2"))
    await scene.stack.died("api2")
    kept = await scene.count("deliveries")
    answer = await scene.post(one)
    assert answer.status_code == 202
    await scene.verdict()
    assert await scene.count("deliveries") == await scene.count("alerts") == 1
    return kept, answer.json()


@pytest.mark.fault("F01")
async def test_an_api_that_dies_before_the_insert_leaves_nothing_and_the_retry_makes_one_event(scene: Scene) -> None:
    kept, answer = await lose_the_api(scene, "ingest.before_insert")
    assert (kept, answer["duplicate"]) == (0, False)


@pytest.mark.fault("F02")
async def test_an_api_that_dies_before_the_commit_leaves_nothing_and_the_retry_makes_one_event(scene: Scene) -> None:
    kept, answer = await lose_the_api(scene, "ingest.after_insert")
    assert (kept, answer["duplicate"]) == (0, False)


@pytest.mark.fault("F03")
async def test_an_api_that_dies_before_it_answers_knows_the_retry_as_a_duplicate(scene: Scene) -> None:
    kept, answer = await lose_the_api(scene, "ingest.after_commit")
    assert (kept, answer["duplicate"]) == (1, True)


@pytest.mark.fault("F04")
async def test_a_relay_that_dies_before_it_publishes_costs_time_and_no_job(scene: Scene) -> None:
    await scene.arm("relay", "relay.after_claim=kill@once")
    await scene.send(scene.alert())
    await scene.stack.died("relay")
    scene.stack.start("relay")
    await scene.verdict()
    assert await scene.count("alerts") == 1


@pytest.mark.fault("F05")
async def test_a_message_that_was_published_twice_is_run_once(scene: Scene) -> None:
    scene.stack.pause("worker")
    await scene.arm("relay", "relay.after_publish=kill@once")
    await scene.send(scene.alert())
    await scene.stack.died("relay")
    scene.stack.start("relay")
    published = "select published_at from jobs where tenant_id = $1 order by id limit 1"
    first = await scene.ward.value(published)

    async def published_again() -> bool:
        return bool(await scene.ward.value(published) > first)

    await wait_until(published_again, timeout_s=15, what="the sweep publishes it once more")
    scene.stack.resume("worker")
    await scene.verdict()
    assert await scene.count("jobs", "kind = 'ingest.drain_intake' and attempt = 1 and state = 'succeeded'") == 1


@pytest.mark.fault("F06")
async def test_two_relays_share_the_work_and_no_job_is_run_twice(scene: Scene) -> None:
    heard, published = listen(scene, "relay2"), "tocsin_relay_published_total"
    scene.stack.start("relay2")
    await heard.hears("relay.started")
    before = await measured(scene, "relay", published)
    sent = 0

    async def both_publish() -> bool:
        # Who takes which job is chance: some more are sent where one of them came too late for all.
        nonlocal sent
        await scene.send(*(scene.alert(f"k{number % 7}", minute=sent + number) for number in range(30)), over_s=1)
        sent += 30
        return min(await measured(scene, "relay", published) - before, await measured(scene, "relay2", published)) > 0

    await both_publish()
    await wait_until(both_publish, timeout_s=20, what=f"both relays publish\n{scene.stack.tail('relay2')}")
    await scene.verdict()
    assert await scene.count("jobs", "attempt > 1") == 0
    assert await scene.ward.value("select sum(count)::int from alerts where tenant_id = $1") == sent


async def lose_the_worker(scene: Scene, place: str) -> None:
    """Kill the worker at a place while it takes in one alert, start another, and wait for the verdict."""
    await scene.arm("worker", f"{place}=kill@once")
    await scene.send(scene.alert())
    await scene.stack.died("worker")
    scene.stack.start("worker")
    await scene.let_leases_run_out()
    await scene.verdict()


@pytest.mark.fault("F07")
@pytest.mark.parametrize("place", ["claim.before", "claim.after_commit"])
async def test_a_worker_that_dies_before_its_handler_has_its_job_run_again(scene: Scene, place: str) -> None:
    await lose_the_worker(scene, place)
    counted = 1 if place == "claim.before" else 2
    drain = "select max(attempt)::int from jobs where tenant_id = $1 and kind = 'ingest.drain_intake'"
    assert await scene.ward.value(drain) == counted, "the attempt is counted with the claim"


@pytest.mark.fault("F08")
@pytest.mark.parametrize(
    ("place", "repeat", "outcome", "calls"),
    [
        ("effect.after_intent", "once", "unknown_effect", 0),
        ("effect.before_send", "keyed", "recovered", 1),
        ("effect.after_send", "once", "unknown_effect", 1),
        ("effect.after_send", "keyed", "recovered", 2),
    ],
)
async def test_a_worker_that_dies_around_an_effect_never_repeats_it_blindly(
    scene: Scene, place: str, repeat: str, outcome: str, calls: int
) -> None:
    await scene.ward.add_runbooks()
    service = await scene.ward.add_service(scene.sink_url, "web", repeat=repeat)
    await scene.arm("worker", f"{place}=kill@once")
    await scene.send(service)
    await scene.stack.died("worker")
    assert await scene.count("effects", "state = 'intent'") == 1
    scene.stack.start("worker")
    await scene.let_leases_run_out()
    await scene.verdict()
    run = await scene.outcome_of(service)
    assert (run["outcome"], len(scene.sink.calls)) == (outcome, calls)
    assert run["escalated"] is (outcome == "unknown_effect"), "a person is asked where nobody can tell"


@pytest.mark.fault("F09")
@pytest.mark.parametrize("place", ["finish.before_commit", "finish.after_commit"])
async def test_a_worker_that_dies_with_its_locks_frees_them_and_is_fenced_off(scene: Scene, place: str) -> None:
    await lose_the_worker(scene, place)
    drain = "select max(lease_epoch)::int from jobs where tenant_id = $1 and kind = 'ingest.drain_intake'"
    assert await scene.ward.value(drain) == (2 if place == "finish.before_commit" else 1)


@pytest.mark.fault("F09")
@pytest.mark.parametrize(
    ("place", "calls"), [("effect.after_intent", 0), ("effect.before_send", 0), ("effect.after_send", 1)]
)
async def test_a_worker_that_stands_still_past_its_lease_writes_nothing_and_calls_nobody_when_it_goes_on(
    scene: Scene, place: str, calls: int
) -> None:
    await scene.ward.add_runbooks()
    service = await scene.ward.add_service(scene.sink_url, "web", repeat="once")
    heard = listen(scene, "worker")
    # Longer than the lease of ten seconds, which runs out by itself: the worker's own deadline must have passed too.
    await scene.arm("worker", f"{place}=freeze:14s@once")
    await scene.send(service)
    await scene.until("effects", "state = 'intent'", timeout_s=30)
    # The next holder is slow: the job runs when the first goes on, so its epoch alone tells whose it is.
    scene.stack.start("worker2", failpoints="claim.after_commit=sleep:5s")
    lost = await heard.hears("job.lease_lost", timeout_s=40)
    await scene.verdict()
    holder = "select e.job_id::text from effects e where e.tenant_id = $1"
    assert lost["job_id"] == await scene.ward.value(holder), "it went on, and was fenced off"
    fence = "select j.lease_epoch from jobs j join effects e on e.job_id = j.id where e.tenant_id = $1"
    assert await scene.ward.value(fence) > lost["lease_epoch"], "another worker had taken the job over"
    run = await scene.outcome_of(service)
    assert (run["outcome"], len(scene.sink.calls)) == ("unknown_effect", calls)
    assert run["escalated"] is True


@pytest.mark.fault("F10")
async def test_a_deploy_with_thirty_jobs_under_way_loses_and_repeats_none(scene: Scene) -> None:
    await scene.ward.add_desk(scene.desk_url, TECHNICIAN_KEY)
    await scene.arm("worker", "", TOCSIN_JOBS__WORKER_CONCURRENCY="64")
    scene.standin.switches.hang_s = 6.0
    await scene.send(*tickets(scene.ward, scene.standin, count=30))

    async def all_under_way() -> bool:
        return await scene.count("jobs", "kind = 'enhancement.enhance_ticket' and state = 'running'") == 30

    await wait_until(all_under_way, timeout_s=20, every_s=0.1, what=f"30 jobs run\n{scene.logs()}")
    assert await asyncio.to_thread(scene.stack.terminate, "worker") == 0
    assert await scene.count("jobs", "state = 'running'") == 0, "handed back, not left to their leases"
    scene.standin.switches.hang_s = 0.0
    scene.stack.start("worker")
    await scene.verdict()
    assert all(len(scene.standin.notes_of(number)) == 1 for number in scene.standin.tickets)
