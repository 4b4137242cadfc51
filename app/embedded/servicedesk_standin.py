"""A local stand-in for ServiceDesk Plus, for the demo and the tests. It keeps everything in memory.

Source: ManageEngine, "ServiceDesk Plus API v3" (on-premises), requests/request and requests/request_note, read
2026-11: ``authtoken`` header, form field ``input_data`` with JSON, ``response_status`` on every answer, 2000 for
success, 4xxx codes inside ``messages`` for refusals.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

Endpoint = Callable[[Request], Awaitable[Response]]

_NOTE_FIELDS = {
    "description",
    "show_to_requester",
    "notify_technician",
    "mark_first_response",
    "add_to_linked_requests",
}


class Refusal(Exception):
    """An answer of the vendor's error form."""

    def __init__(self, status: int, code: int, message: str, *, field_name: str | None = None) -> None:
        super().__init__(message)
        said: dict[str, Any] = {"status_code": code, "type": "failed", "message": message}
        if field_name is not None:
            said["field"] = field_name
        self.response = JSONResponse(
            {"response_status": {"status_code": 4000, "messages": [said], "status": "failed"}}, status_code=status
        )


@dataclass
class Switches:
    """How the stand-in misbehaves. Counters go down by one with each affected call.

    Attributes:
        fail_after_storing: Writes of notes that are stored and then answered with 500.
        fail_before_storing: Calls that are answered with 500 without effect.
        hang_s: Seconds before any answer.
        after_fetches: Called with the number of reads of a ticket so far, before the next one is answered.
        after_storing: Awaited when a note is stored and before that is answered.
        lists_texts: False leaves ``description`` out of lists of notes, as some builds do.
    """

    fail_after_storing: int = 0
    fail_before_storing: int = 0
    hang_s: float = 0.0
    lists_texts: bool = True
    after_fetches: Callable[[int], None] | None = None
    after_storing: Callable[[], Awaitable[None]] | None = None


@dataclass
class StandInTicket:
    """A request with its notes."""

    id: str
    subject: str
    description: str
    status: str = "Open"
    resolution: str = ""
    requester: str = "Requester"
    technician: str | None = None
    created_ms: int = 0
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """This will return the request as the vendor's API gives it."""
        return {
            "id": self.id,
            "subject": self.subject,
            "description": self.description,
            "short_description": self.description[:250],
            "status": {"id": "1", "name": self.status, "in_progress": self.status == "Open"},
            "resolution": {"content": self.resolution} if self.resolution else None,
            "requester": {"id": "4", "name": self.requester, "email_id": None},
            "technician": {"id": "7", "name": self.technician} if self.technician else None,
            "created_time": _time(self.created_ms),
        }


class ServiceDeskStandIn:
    """The application (``.app``), its tickets, and the switches that make it misbehave."""

    def __init__(self, *, technician_key: str, first_number: int = 1001) -> None:
        self._key = technician_key
        self._serial = itertools.count(first_number)
        self.tickets: dict[str, StandInTicket] = {}
        self.switches = Switches()
        self.calls: list[str] = []
        self.fetches = 0
        self.app = Starlette(
            routes=[
                Route("/api/v3/requests", self._answering(self._add_request), methods=["POST"]),
                Route("/api/v3/requests/{request_id}", self._answering(self._get_request), methods=["GET"]),
                Route("/api/v3/requests/{request_id}", self._answering(self._edit_request), methods=["PUT"]),
                Route("/api/v3/requests/{request_id}/notes", self._answering(self._list_notes), methods=["GET"]),
                Route("/api/v3/requests/{request_id}/notes", self._answering(self._add_note), methods=["POST"]),
                Route(
                    "/api/v3/requests/{request_id}/notes/{note_id}",
                    self._answering(self._one_note),
                    methods=["GET", "PUT", "DELETE"],
                ),
            ]
        )

    def add_ticket(self, *, subject: str, description: str, ticket_id: str | None = None, **more: Any) -> StandInTicket:
        """This will create a ticket without a call."""
        number = ticket_id or str(next(self._serial))
        ticket = StandInTicket(id=number, subject=subject, description=description, created_ms=_now_ms(), **more)
        self.tickets[number] = ticket
        return ticket

    def notes_of(self, ticket_id: str) -> list[str]:
        """This will return the texts of a ticket's notes, in order."""
        return [note["description"] for note in self.tickets[ticket_id].notes.values()]

    def _answering(self, endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            self.calls.append(f"{request.method} {request.url.path}")
            if self.switches.hang_s:
                await asyncio.sleep(self.switches.hang_s)
            try:
                self._authenticate(request)
                if self.switches.fail_before_storing > 0:
                    self.switches.fail_before_storing -= 1
                    return PlainTextResponse("Internal Server Error", status_code=500)
                return await endpoint(request)
            except Refusal as refusal:
                return refusal.response

        return answer

    def _authenticate(self, request: Request) -> None:
        given = request.headers.get("authtoken") or request.headers.get("technician_key") or ""
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            raise Refusal(401, 4002, "UNAUTHORISED: the authtoken is not valid.")

    async def _add_request(self, request: Request) -> Response:
        given = await _input(request, "request")
        if not given.get("subject"):
            raise Refusal(400, 4012, "Mandatory field is missing.", field_name="subject")
        ticket = self.add_ticket(
            subject=str(given["subject"]),
            description=str(given.get("description") or ""),
            requester=str((given.get("requester") or {}).get("name") or "Requester"),
        )
        return _success({"request": ticket.as_json()}, status=201)

    async def _get_request(self, request: Request) -> Response:
        self.fetches += 1
        if self.switches.after_fetches is not None:
            self.switches.after_fetches(self.fetches)
        return _success({"request": self._ticket(request).as_json()})

    async def _edit_request(self, request: Request) -> Response:
        ticket, given = self._ticket(request), await _input(request, "request")
        ticket.subject = str(given.get("subject", ticket.subject))
        ticket.description = str(given.get("description", ticket.description))
        ticket.status = str((given.get("status") or {}).get("name", ticket.status))
        ticket.resolution = str((given.get("resolution") or {}).get("content", ticket.resolution))
        return _success({"request": ticket.as_json()})

    async def _list_notes(self, request: Request) -> Response:
        ticket = self._ticket(request)
        window = json.loads(request.query_params.get("input_data") or "{}").get("list_info", {})
        start, count = max(1, int(window.get("start_index", 1))), min(100, int(window.get("row_count", 10)))
        rows = list(ticket.notes.values())
        page = rows[start - 1 : start - 1 + count]
        if not self.switches.lists_texts:
            page = [{name: value for name, value in note.items() if name != "description"} for note in page]
        more = len(rows) > start - 1 + count
        info = {"start_index": start, "row_count": len(page), "has_more_rows": more}
        # Lists carry the status as a list, single objects as an object; both occur in the vendor's samples.
        status = [{"status_code": 2000, "status": "success"}]
        return JSONResponse({"notes": page, "list_info": info, "response_status": status})

    async def _add_note(self, request: Request) -> Response:
        ticket, given = self._ticket(request), await _input(request, "note")
        if ticket.status == "Closed":
            raise Refusal(400, 4006, "Notes cannot be added to a closed request.")
        if not given.get("description"):
            raise Refusal(400, 4012, "Mandatory field is missing.", field_name="description")
        unknown = set(given) - _NOTE_FIELDS
        if unknown:
            raise Refusal(400, 4014, "Extra parameter found.", field_name=sorted(unknown)[0])
        note_id = str(9000 + next(self._serial))
        ticket.notes[note_id] = {"id": note_id, **given, "added_time": _time(_now_ms())}
        return await self._stored(ticket.notes[note_id], status=201)

    async def _one_note(self, request: Request) -> Response:
        ticket, note_id = self._ticket(request), request.path_params["note_id"]
        note = ticket.notes.get(note_id)
        if note is None:
            raise Refusal(404, 4007, "Invalid URL: no such note.")
        if request.method == "GET":
            return _success({"note": note})
        if request.method == "DELETE":
            del ticket.notes[note_id]
            return _success({})
        note |= await _input(request, "note")
        note["last_updated_time"] = _time(_now_ms())
        return await self._stored(note, status=200)

    async def _stored(self, note: dict[str, Any], *, status: int) -> Response:
        if self.switches.after_storing is not None:
            await self.switches.after_storing()
        if self.switches.fail_after_storing > 0:
            self.switches.fail_after_storing -= 1
            return PlainTextResponse("Internal Server Error", status_code=500)
        return _success({"note": note}, status=status)

    def _ticket(self, request: Request) -> StandInTicket:
        ticket = self.tickets.get(request.path_params["request_id"])
        if ticket is None:
            raise Refusal(404, 4007, "Invalid URL: no such request.")
        return ticket


async def _input(request: Request, name: str) -> dict[str, Any]:
    """The object ``name`` of the form field ``input_data``."""
    form = parse_qs((await request.body()).decode(), strict_parsing=False)
    try:
        given = json.loads(form["input_data"][0])[name]
    except (LookupError, ValueError, TypeError):
        raise Refusal(400, 4001, "Input data is missing or not valid JSON.", field_name="input_data") from None
    if not isinstance(given, dict):
        raise Refusal(400, 4001, "Input data has the wrong form.", field_name=name)
    return given


def _success(body: dict[str, Any], *, status: int = 200) -> Response:
    return JSONResponse(body | {"response_status": {"status_code": 2000, "status": "success"}}, status_code=status)


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def _time(value_ms: int) -> dict[str, str]:
    return {"value": str(value_ms), "display_value": datetime.fromtimestamp(value_ms / 1000, UTC).isoformat()}
