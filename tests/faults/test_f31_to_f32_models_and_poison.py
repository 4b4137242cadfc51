"""Models that misbehave, and a job that kills every worker: what runs next to them is not held up and not lost."""

from __future__ import annotations

import pytest

from app.core.resources import Resources
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.enhancement.schemas import EnhancementState
from tests.enhancement.world import make_world, with_model
from tests.faults.poisoned_worker import Neighbour, Poison, PoisonedStack
from tests.faults.scene import Scene
from tests.faults.wards import tickets
from tests.fixtures.chat import CUT, GARBAGE, HANG, SILENT, ChatServer, Step
from tests.fixtures.servicedesk import TECHNICIAN_KEY, ServedDesk
from tests.fixtures.wait import wait_until
from workers.runner import Outcome

SLOTS = 8
ENHANCING = "kind = 'enhancement.enhance_ticket' and state = 'running'"
PASSED_OVER = (
    "kind = 'enhancement.enhance_ticket' and state = 'published' and run_at < clock_timestamp() - interval '3 s'"
)


@pytest.mark.fault("F31")
@pytest.mark.parametrize(
    ("step", "said"),
    [
        (HANG, "timeout"),
        (SILENT, "timeout"),
        (CUT, "unreachable"),
        (429, "http_error"),
        (500, "http_error"),
        ('{"statements": [{"te', "unusable"),
        (GARBAGE, "bad_response"),
    ],
    ids=["no answer", "headers then silence", "closed in the body", "429", "500", "half a message", "html"],
)
async def test_a_model_that_misbehaves_costs_its_sentence(
    resources: Resources, servicedesk: ServedDesk, chat: ChatServer, step: Step, said: str
) -> None:
    # A call that would have less than a second is not made at all.
    with_model(resources, chat, first_timeout_s=1.5, deadline_s=1.5)
    world = await make_world(resources, servicedesk)
    await world.add_desk()
    await world.add_past()
    chat.script = [step]
    ticket = await world.receive()
    assert (await world.run_until_settled())[-1] is Outcome.SUCCEEDED
    found = await world.enhancement(ticket)
    assert (found.state, found.method, found.model_outcome) == (EnhancementState.PUBLISHED, "extractive", said)
    assert len(servicedesk.standin.notes_of(ticket.id)) == 1
    assert len(chat.requests) == (2 if said == "unusable" else 1), "asked, and a bounded number of times"


@pytest.mark.fault("F31")
async def test_no_incident_waits_for_a_model_that_hangs(scene: Scene, chat: ChatServer) -> None:
    """One worker serves all queues, and each of its slots that a model may take has a call that nobody answers."""
    await scene.ward.add_desk(scene.desk_url, TECHNICIAN_KEY)
    # Without evidence no model is asked.
    await scene.ward.post("/v1/knowledge", {"title": "Cannot pay", "body": "Who cannot pay in a shop restarts it."})
    chat.script = [HANG]
    model = {"BASE_URL": chat.url, "MODEL": "slow", "FIRST_TIMEOUT_S": "25", "DEADLINE_S": "25"}
    settings = {f"TOCSIN_ENHANCEMENT__LLM__{name}": value for name, value in model.items()}
    await scene.arm("worker", "", TOCSIN_JOBS__WORKER_CONCURRENCY=str(SLOTS), **settings)
    await scene.send(*tickets(scene.ward, scene.standin, count=SLOTS + 2))

    async def all_that_can_hang_do() -> bool:
        # What has been passed over by several polls of the worker is not just about to begin.
        running, waiting = await scene.count("jobs", ENHANCING), await scene.count("jobs", PASSED_OVER)
        return running == chat.held > 1 and running + waiting == SLOTS + 2

    await wait_until(all_that_can_hang_do, timeout_s=20, every_s=0.1, what=f"the model has its slots\n{scene.logs()}")
    hanging = chat.held
    await scene.send(scene.alert("urgent"))
    await scene.until("alerts", f"dedup_key = '{scene.ward.tag}-urgent' and incident_id is not null", timeout_s=10)
    assert await scene.count("jobs", ENHANCING) == chat.held == hanging, "not one of them has ended meanwhile"
    chat.script = [500]
    chat.release.set()
    await scene.verdict()
    assert all(len(scene.standin.notes_of(number)) == 1 for number in scene.standin.tickets)


@pytest.mark.fault("F32")
@pytest.mark.timeout(300)  # a worker is started four times
async def test_a_job_that_kills_every_worker_ends_dead_and_its_neighbour_is_done(scene: Scene) -> None:
    """Both are handed to the same worker at once, each time; whoever runs the processes starts it anew, each time."""
    scene.stack.kill("worker")
    poisoned = PoisonedStack(scene.rig.settings, scene.rig.valkey, scene.rig.folder)
    async with tenant_session(scene.rig.database, scene.ward.tenant_id) as session:
        for job in (Neighbour(), Poison()):
            await enqueue(session, job)
    await scene.until("jobs", "kind like 'faults.%' and state = 'published'", least=2)
    deaths = 0
    try:
        while not await scene.count("jobs", "kind = 'faults.poison' and state = 'dead'"):
            poisoned.start("worker")
            await poisoned.died("worker", timeout_s=40)
            deaths += 1
            assert await scene.count("jobs", f"kind = 'faults.poison' and attempt = {deaths}") == 1
            await scene.let_leases_run_out()
            await scene.until("jobs", "kind = 'faults.poison' and state in ('published', 'dead')")
        poisoned.start("worker")
        await scene.rest()
    finally:
        poisoned.stop()
    assert deaths == Poison.retry.max_attempts, "each attempt was counted before anything of it ran"
    rows = {row["kind"]: row for row in (await scene.evidence()).tenants[0].rows["jobs"]}
    poison, neighbour = rows["faults.poison"], rows["faults.neighbour"]
    assert poison["error"] == "the worker was lost on the last attempt: its lease ran out"
    assert (neighbour["state"], neighbour["error"]) == ("succeeded", None), neighbour
    assert neighbour["attempt"] > 1, "it was near enough to be killed too"
