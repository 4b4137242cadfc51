"""One note, whatever breaks: lost answers, dead workers, lost leases, repeated webhooks, retries."""

from __future__ import annotations

from sqlalchemy import text

from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.enhancement.jobs import EnhanceTicket
from app.enhancement.schemas import EnhancementState
from app.enhancement.service import restart_enhancement
from tests.enhancement.world import ENGINEER, World
from workers.runner import Outcome


async def test_a_repeated_webhook_makes_no_second_note(world: World) -> None:
    ticket = await world.receive(times=3)
    await world.run_until_settled()
    await world.receive(ticket)
    await world.run_until_settled()
    assert len(world.desk.standin.notes_of(ticket.id)) == 1


async def test_a_desk_that_answers_500_after_storing_has_one_note(world: World) -> None:
    ticket = await world.receive()
    world.desk.standin.switches.fail_after_storing = 1
    await world.run_until_settled()
    assert len(world.desk.standin.notes_of(ticket.id)) == 1
    assert (await world.enhancement(ticket)).state == EnhancementState.PUBLISHED


async def test_a_desk_that_is_down_for_a_while_gets_its_note_later(world: World) -> None:
    ticket = await world.receive()
    world.desk.standin.switches.fail_before_storing = 3
    outcomes = await world.run_until_settled()
    assert outcomes[0] is Outcome.RETRIED
    assert outcomes[-1] is Outcome.SUCCEEDED
    assert len(world.desk.standin.notes_of(ticket.id)) == 1


async def test_a_desk_that_stays_down_ends_with_its_reason(world: World) -> None:
    ticket = await world.receive()
    world.desk.standin.switches.fail_before_storing = 1000
    assert (await world.run_until_settled())[-1] is Outcome.FAILED
    found = await world.enhancement(ticket)
    assert (found.state, found.reason_code) == (EnhancementState.FAILED, "desk_error")


async def test_a_retry_edits_the_same_note(world: World) -> None:
    ticket = await world.receive()
    await world.run_until_settled()
    await world.add_knowledge(
        title="Checkout 502", body="Checkout 502 after payment worker restart clears in 5 minutes."
    )
    await retry(world, ticket.id)
    await world.run_until_settled()
    (note,) = world.desk.standin.notes_of(ticket.id)
    assert "clears in 5 minutes" in note
    assert (await world.enhancement(ticket)).generation == 2


async def test_a_list_without_texts_is_read_note_by_note(world: World) -> None:
    world.desk.standin.switches.lists_texts = False
    ticket = await world.receive()
    await world.run_until_settled()
    await retry(world, ticket.id)
    await world.run_until_settled()
    assert len(world.desk.standin.notes_of(ticket.id)) == 1


async def test_a_crash_between_intent_and_outcome_leaves_one_note(world: World) -> None:
    """The note was stored and the worker died before it wrote the outcome; another worker takes over."""
    ticket = await world.receive()
    world.desk.standin.switches.fail_after_storing = 0
    await world.run_until_settled()
    async with tenant_session(world.database, world.tenant_id) as session:
        await session.execute(
            text(
                "update effects set state = 'intent', outcome = null, intent_epoch = 0, not_after = now() - interval '1 s'"
            )
        )
        await session.execute(text("update enhancements set state = 'composed', finished_at = null"))
        await session.execute(
            text("update jobs set state = 'scheduled', finished_at = null, lease_epoch = lease_epoch + 1")
        )
    assert await world.run_until_settled() == [Outcome.SUCCEEDED]
    assert len(world.desk.standin.notes_of(ticket.id)) == 1
    assert (await world.enhancement(ticket)).state == EnhancementState.PUBLISHED


async def test_a_worker_that_lost_its_lease_while_writing_leaves_one_note(world: World) -> None:
    """Another worker has taken the job over when the desk answers: the first writes nothing, the second looks first."""
    ticket = await world.receive()
    taken_over = text(
        "update jobs set lease_epoch = lease_epoch + 1, state = 'scheduled', lease_until = null where state = 'running'"
    )

    async def take_over() -> None:
        world.desk.standin.switches.after_storing = None
        async with tenant_session(world.database, world.tenant_id) as session:
            await session.execute(taken_over)

    world.desk.standin.switches.after_storing = take_over
    assert await world.run() == [Outcome.LOST]
    assert (await world.enhancement(ticket)).state == EnhancementState.COMPOSED

    async with tenant_session(world.database, world.tenant_id) as session:
        state = await session.scalar(text("select state from effects"))
        await session.execute(text("update effects set not_after = now() - interval '1 s'"))
    assert state == "intent"
    assert await world.run_until_settled() == [Outcome.SUCCEEDED]
    assert len(world.desk.standin.notes_of(ticket.id)) == 1
    assert (await world.enhancement(ticket)).state == EnhancementState.PUBLISHED
    assert [call.split(" ")[0] for call in world.desk.standin.calls].count("POST") == 1


async def test_a_recoverer_waits_until_the_first_call_can_no_longer_arrive(world: World) -> None:
    ticket = await world.receive()
    await world.run_until_settled()
    world.desk.standin.tickets[ticket.id].notes.clear()
    async with tenant_session(world.database, world.tenant_id) as session:
        await session.execute(text("update effects set state = 'intent', not_after = now() + interval '1 h'"))
        await session.execute(text("update enhancements set state = 'composed', finished_at = null"))
        await session.execute(text("update jobs set state = 'scheduled', finished_at = null"))
    assert await world.run() == [Outcome.LATER]
    assert world.desk.standin.notes_of(ticket.id) == []


async def test_a_crash_before_the_call_still_writes_the_note(world: World) -> None:
    ticket = await world.receive()
    await world.run_until_settled()
    world.desk.standin.tickets[ticket.id].notes.clear()
    async with tenant_session(world.database, world.tenant_id) as session:
        await session.execute(
            text("update effects set state = 'intent', outcome = null, not_after = now() - interval '1 s'")
        )
        await session.execute(text("update enhancements set state = 'composed', finished_at = null"))
        await session.execute(
            text("update jobs set state = 'scheduled', finished_at = null, lease_epoch = lease_epoch + 1")
        )
    assert await world.run_until_settled() == [Outcome.SUCCEEDED]
    assert len(world.desk.standin.notes_of(ticket.id)) == 1


async def retry(world: World, ticket_id: str) -> None:
    """This will ask for another try, as the endpoint does."""
    found = await world.enhancement(world.desk.standin.tickets[ticket_id])
    async with tenant_session(world.database, world.tenant_id) as session:
        await restart_enhancement(session, enhancement_id=found.id, actor=ENGINEER, now=world.now())
        await enqueue(session, EnhanceTicket(enhancement_id=found.id), unique_key=str(found.id))
