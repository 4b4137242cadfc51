"""From a received ticket to one note at the desk, over real HTTP and a real database."""

from __future__ import annotations

import asyncio
import re

import pytest
from sqlalchemy import text

from app.core.ids import IncidentId
from app.core.resources import Resources
from app.db.tenancy import tenant_session
from app.enhancement.contract import CaseLibrary, ContextRequest, ContextSource
from app.enhancement.jobs.definitions import IndexIncident
from app.enhancement.rules.evidence import Evidence
from app.enhancement.schemas import EnhancementState
from app.enhancement.service import find_enhancement_for_ticket
from app.enhancement.service.catalogue import context_sources
from app.incidents.service import list_timeline
from tests.enhancement.world import RESOLUTION, World, make_world, with_settings
from tests.fixtures.servicedesk import ServedDesk
from workers.runner import Outcome


async def test_a_ticket_gets_one_note_whose_statements_name_their_sources(world: World) -> None:
    ticket = await world.receive()
    assert await world.run_until_settled() == [Outcome.SUCCEEDED]

    found = await world.enhancement(ticket)
    assert (found.state, found.method) == (EnhancementState.PUBLISHED, "extractive")
    (note,) = world.desk.standin.notes_of(ticket.id)
    assert note == found.note
    assert RESOLUTION in note
    assert "needs 2 GB of memory" in note
    for line in re.findall(r"<li>(?:Known|Possible): .*?</li>", note):
        assert re.search(r"\[E\d+\]", line)
    labels = {item.label for item in found.evidence}
    assert set(re.findall(r"\[(E\d+)\]", note)) <= labels
    assert {item.source for item in found.evidence} == {"ticket", "knowledge"}
    assert "https://wiki.example.com/payment" in note
    assert found.remote_note_id in world.desk.standin.tickets[ticket.id].notes


async def test_the_incident_tells_what_was_written_and_why_not(world: World) -> None:
    written, refused = await world.receive(), await world.receive()
    refused.status = "Closed"
    await world.run_until_settled()
    async with tenant_session(world.database, world.tenant_id) as session:
        told = {}
        for ticket in (written, refused):
            found = await find_enhancement_for_ticket(session, external_id=ticket.id)
            assert found is not None
            assert found.incident_id is not None
            entries = await list_timeline(session, incident_id=IncidentId(found.incident_id), after=None, limit=50)
            told[ticket.id] = {entry.kind: entry for entry in entries}
    assert "confidence" in told[written.id]["enhancement.published"].reason
    assert told[refused.id]["enhancement.failed"].reason.startswith("ticket_closed:")


async def test_the_note_is_private_and_leaves_the_clocks_alone(world: World) -> None:
    ticket = await world.receive()
    await world.run_until_settled()
    (note,) = world.desk.standin.tickets[ticket.id].notes.values()
    flags = ("show_to_requester", "notify_technician", "mark_first_response", "add_to_linked_requests")
    assert [note[flag] for flag in flags] == [False, False, False, False]
    assert world.desk.standin.tickets[ticket.id].status == "Open"


async def test_a_closed_ticket_is_refused(world: World) -> None:
    ticket = await world.receive()
    ticket.status = "Closed"
    assert await world.run_until_settled() == [Outcome.SUCCEEDED]
    found = await world.enhancement(ticket)
    assert (found.state, found.reason_code) == (EnhancementState.FAILED, "ticket_closed")
    assert world.desk.standin.notes_of(ticket.id) == []


async def test_a_ticket_that_closes_while_the_note_is_written_is_refused(world: World) -> None:
    ticket = await world.receive()

    def close_later(fetches: int) -> None:
        if fetches > 1:
            ticket.status = "Resolved"

    world.desk.standin.switches.after_fetches = close_later
    await world.run_until_settled()
    assert (await world.enhancement(ticket)).reason_code == "ticket_closed"
    assert world.desk.standin.notes_of(ticket.id) == []


async def test_a_ticket_that_changes_once_gets_a_note_about_the_change(world: World) -> None:
    ticket = await world.receive()
    await world.add_past(
        external_id="78", title="Backup full", body="No space left on /var/backup", resolution="Rotated."
    )

    def change_once(fetches: int) -> None:
        if fetches == 2:
            ticket.subject, ticket.description = "Backup full", "No space left on /var/backup"

    world.desk.standin.switches.after_fetches = change_once
    await world.run_until_settled()
    (note,) = world.desk.standin.notes_of(ticket.id)
    assert "Rotated." in note
    assert RESOLUTION not in note


async def test_a_ticket_that_never_stands_still_is_refused(world: World) -> None:
    ticket = await world.receive()

    def change(fetches: int) -> None:
        ticket.subject = f"Subject {fetches}"

    world.desk.standin.switches.after_fetches = change
    await world.run_until_settled()
    assert (await world.enhancement(ticket)).reason_code == "ticket_changed"


@pytest.mark.parametrize(
    ("change", "code"),
    [({"secret": "wrong"}, "credential_rejected"), ({"base_url": "http://10.255.255.1:8080"}, "egress_refused")],
)
async def test_a_desk_that_can_never_work_says_why_at_once(
    resources: Resources, servicedesk: ServedDesk, change: dict[str, str], code: str
) -> None:
    with_settings(resources)
    world = await make_world(resources, servicedesk)
    await world.add_desk(**change)
    ticket = await world.receive()
    assert await world.run_until_settled() == [Outcome.SUCCEEDED]
    found = await world.enhancement(ticket)
    assert found.reason_code == code
    assert "wrong" not in found.reason


async def test_a_tenant_without_a_desk_and_a_missing_ticket_have_reasons(
    resources: Resources, servicedesk: ServedDesk
) -> None:
    with_settings(resources)
    world = await make_world(resources, servicedesk)
    ticket = await world.receive()
    await world.run_until_settled()
    assert (await world.enhancement(ticket)).reason_code == "no_desk"

    await world.add_desk()
    gone = await world.receive()
    del world.desk.standin.tickets[gone.id]
    await world.run_until_settled()
    assert (await world.enhancement(gone)).reason_code == "ticket_missing"


async def test_nothing_similar_is_a_note_too(resources: Resources, servicedesk: ServedDesk) -> None:
    with_settings(resources)
    world = await make_world(resources, servicedesk)
    await world.add_desk()
    ticket = await world.receive()
    await world.run_until_settled()
    (note,) = world.desk.standin.notes_of(ticket.id)
    assert "Nothing similar was found" in note
    assert "HTTP 502" in note


async def test_a_source_that_fails_or_hangs_is_a_line_in_the_note(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(request: ContextRequest, library: CaseLibrary) -> list[Evidence]:
        await asyncio.Event().wait()
        return []

    async def fail(request: ContextRequest, library: CaseLibrary) -> list[Evidence]:
        raise OSError("no route")

    real = context_sources()
    odd = (
        ContextSource(slug="slow", title="Slow source", timeout_s=0.05, gather=hang),
        ContextSource(slug="broken", title="Broken source", timeout_s=1, gather=fail),
    )
    # The catalogue is the seam: two further plug-ins, as if their folders were there.
    monkeypatch.setattr("app.enhancement.jobs.composing.context_sources", lambda: (*real, *odd))
    ticket = await world.receive()
    await world.run_until_settled()
    (note,) = world.desk.standin.notes_of(ticket.id)
    assert "Not consulted: Slow source: no answer within 0.05 s" in note
    assert "Not consulted: Broken source: failed (OSError)" in note
    assert RESOLUTION in note


async def test_a_secret_in_a_ticket_reaches_neither_table_nor_note(world: World) -> None:
    ticket = world.desk.standin.add_ticket(
        subject="Checkout returns 502 password=Hunter2Hunter2",
        description="ERROR payment worker OOM killed on pay01, token: 9f8e7d6c5b4a3f2e",
    )
    await world.receive(ticket)
    await world.run_until_settled()
    (note,) = world.desk.standin.notes_of(ticket.id)
    async with tenant_session(world.database, world.tenant_id) as session:
        rows = []
        for table in (
            "tickets",
            "case_documents",
            "case_terms",
            "enhancements",
            "enhancement_evidence",
            "jobs",
            "effects",
        ):
            found = await session.execute(text(f"select row_to_json(t)::text from {table} t"))
            rows += [row[0] for row in found]
    everything = " ".join([note, *rows])
    assert "Hunter2" not in everything
    assert "9f8e7d6c" not in everything


async def test_switched_off_writes_no_note(world: World) -> None:
    with_settings(world.resources, enabled=False)
    ticket = await world.receive()
    await world.run_until_settled()
    assert (await world.enhancement(ticket)).reason_code == "disabled"
    assert world.desk.standin.calls == []


async def test_a_ticket_that_no_desk_can_write_to_opens_no_enhancement_but_is_found_later(
    resources: Resources, servicedesk: ServedDesk
) -> None:
    with_settings(resources)
    world = await make_world(resources, servicedesk)
    ticket = await world.receive(system="jira")
    async with tenant_session(world.database, world.tenant_id) as session:
        assert (await session.execute(text("select count(*) from enhancements"))).scalar_one() == 0
    assert await world.run(IndexIncident) == [Outcome.SUCCEEDED]
    async with tenant_session(world.database, world.tenant_id) as session:
        titles = await session.execute(text("select title from case_documents where kind = 'incident'"))
        assert list(titles.scalars()) == [ticket.subject]
