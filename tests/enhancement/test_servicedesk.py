"""The ServiceDesk Plus client: what it sends in both editions, and what each answer means."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.core.resources import Resources
from app.enhancement.contract import DeskAccess, DeskFailure
from app.enhancement.desks.servicedesk import ServiceDesk
from app.net.outbound import OutboundHttp
from tests.fixtures.servicedesk import ServedDesk, serve


def client(
    resources: Resources, url: str, *, secret: str = "key", timeout_s: float = 2.0, **options: Any
) -> ServiceDesk:
    access = DeskAccess(base_url=url, secret=secret, options=options, timeout_s=timeout_s)
    return ServiceDesk(access, resources.get(OutboundHttp))


async def test_a_ticket_is_read_and_a_note_written_edited_and_listed(
    resources: Resources, servicedesk: ServedDesk
) -> None:
    ticket = servicedesk.standin.add_ticket(
        subject="Printer", description="<b>jams</b>", requester="Ada", technician="Grace", resolution="Rollers."
    )
    desk = client(resources, servicedesk.url, secret=servicedesk.key)
    read = await desk.fetch(ticket.id)
    assert (read.title, read.body, read.resolution, read.closed) == ("Printer", "<b>jams</b>", "Rollers.", False)
    assert read.people == ("Ada", "Grace")
    note_id = await desk.put_note(ticket.id, note_id=None, html="<b>one & two</b>")
    assert await desk.put_note(ticket.id, note_id=note_id, html="three") == note_id
    assert [(note.id, note.text) for note in await desk.list_notes(ticket.id)] == [(note_id, "three")]


async def test_all_pages_of_notes_are_read(resources: Resources, servicedesk: ServedDesk) -> None:
    ticket = servicedesk.standin.add_ticket(subject="s", description="d")
    for number in range(230):
        ticket.notes[str(number)] = {"id": str(number), "description": f"note {number}"}
    notes = await client(resources, servicedesk.url, secret=servicedesk.key).list_notes(ticket.id)
    assert [note.text for note in notes] == [f"note {number}" for number in range(230)]


async def test_the_changed_assignee_of_a_ticket_is_no_change_of_it(
    resources: Resources, servicedesk: ServedDesk
) -> None:
    ticket = servicedesk.standin.add_ticket(subject="s", description="d")
    desk = client(resources, servicedesk.url, secret=servicedesk.key)
    before = (await desk.fetch(ticket.id)).digest()
    ticket.technician = "Grace"
    assert (await desk.fetch(ticket.id)).digest() == before
    ticket.description = "other"
    assert (await desk.fetch(ticket.id)).digest() != before


async def test_the_cloud_edition_has_another_header_and_envelope(resources: Resources) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    async def answer(request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        seen.append((request.headers["authorization"], json.loads(form["input_data"][0])))
        return JSONResponse(
            {"request_note": {"id": "5"}, "response_status": {"status_code": 2000, "status": "success"}},
            status_code=201,
        )

    async with serve(Starlette(routes=[Route("/app/itdesk/api/v3/requests/7/notes", answer, methods=["POST"])])) as url:
        desk = client(resources, f"{url}/app/itdesk/", edition="cloud")
        assert await desk.put_note("7", note_id=None, html="x") == "5"
    assert seen[0][0] == "Zoho-oauthtoken key"
    assert seen[0][1]["request_note"]["show_to_requester"] is False


_REFUSED = {
    "response_status": {"status_code": 4000, "status": "failed", "messages": [{"status_code": 4007, "message": "x"}]}
}


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable", "applied"),
    [
        (401, "", "credential_rejected", False, False),
        (403, "", "credential_rejected", False, False),
        (404, "", "ticket_missing", False, False),
        (400, _REFUSED, "ticket_missing", False, False),
        (400, {"response_status": {"status": "failed"}}, "desk_refused", False, False),
        (429, "", "desk_busy", True, False),
        (500, "", "desk_error", True, None),
        (503, "<html>", "desk_error", True, None),
        (200, "<html>login</html>", "desk_answer_unclear", True, None),
        (200, {"response_status": {"status": "failed"}}, "desk_answer_unclear", True, None),
        (200, "[1]", "desk_answer_unclear", True, None),
    ],
)
async def test_each_answer_has_its_meaning(
    resources: Resources, status: int, body: Any, code: str, retryable: bool, applied: bool | None
) -> None:
    async def answer(request: Request) -> Response:
        if isinstance(body, str):
            return PlainTextResponse(body, status_code=status)
        return JSONResponse(body, status_code=status)

    async with serve(Starlette(routes=[Route("/api/v3/requests/1", answer)])) as url:
        with pytest.raises(DeskFailure) as caught:
            await client(resources, url, secret="T0p-secret").fetch("1")
    failure = caught.value
    assert (failure.code, failure.retryable, failure.applied) == (code, retryable, applied)
    assert "T0p-secret" not in str(failure)


async def test_an_unreachable_or_silent_desk_is_retryable(resources: Resources, servicedesk: ServedDesk) -> None:
    # Two seconds: on a busy machine the connection itself may take a while, and it must be there for the answer to be missing.
    servicedesk.standin.switches.hang_s = 30
    with pytest.raises(DeskFailure) as silent:
        await client(resources, servicedesk.url, timeout_s=2.0).put_note("1", note_id=None, html="x")
    assert (silent.value.code, silent.value.retryable, silent.value.applied) == ("desk_timeout", True, None)
    with pytest.raises(DeskFailure) as nobody:
        await client(resources, "http://127.0.0.1:9").put_note("1", note_id=None, html="x")
    assert (nobody.value.code, nobody.value.retryable, nobody.value.applied) == ("desk_unreachable", True, False)


async def test_an_odd_ticket_number_stays_inside_its_path(resources: Resources, servicedesk: ServedDesk) -> None:
    with pytest.raises(DeskFailure):
        await client(resources, servicedesk.url, secret=servicedesk.key).fetch("../../admin?x=1")
    assert all(call.startswith("GET /api/v3/requests/") for call in servicedesk.standin.calls)


def test_the_key_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(DeskAccess(base_url="https://x", secret="s3cret", options={}, timeout_s=1))
