"""ManageEngine ServiceDesk Plus, REST API v3: requests and their notes.

Source: ManageEngine, "ServiceDesk Plus API v3", requests/request and requests/request_note, for on-premises
(``sdpop-v3-api``) and cloud (``sdpod-v3-api``), read 2026-11. Every write is form encoded with one field,
``input_data``, that holds JSON. On premises the key travels in the header ``authtoken`` and a note is wrapped in
``note``; in the cloud it is ``Authorization: Zoho-oauthtoken`` and ``request_note``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import orjson
from pydantic import BaseModel, ConfigDict, Field

from app.enhancement.contract import (
    Desk,
    DeskAccess,
    DeskCapabilities,
    DeskFailure,
    DeskKind,
    DeskNote,
    DeskTicket,
)
from app.net.outbound import EgressRefused, OutboundError, OutboundHttp, OutboundTimeout

_ACCEPT = "application/vnd.manageengine.sdp.v3+json"
_PAGE = 100
_MAX_NOTES = 500
_MAX_BYTES = 2_000_000
# Codes inside ``messages`` for a key that is not accepted and for a URL that names nothing, as seen in clients;
# the HTTP status says the same on current builds.
_NOT_FOUND_CODES = frozenset({4007})
_CREDENTIAL_CODES = frozenset({4002})


_StatusName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


class Edition(StrEnum):
    """The two products; they differ in header and envelope."""

    ON_PREMISES = "on_premises"
    CLOUD = "cloud"


class Options(BaseModel):
    """What a tenant sets for a ServiceDesk Plus desk.

    Attributes:
        closed_statuses: Names of the statuses in which a ticket takes no more notes from us, lower case.
    """

    model_config = ConfigDict(extra="forbid")

    edition: Edition = Edition.ON_PREMISES
    closed_statuses: Annotated[list[_StatusName], Field(max_length=20)] = [
        "closed",
        "resolved",
        "cancelled",
        "canceled",
    ]


class ServiceDesk:
    """The client for one tenant's installation."""

    def __init__(self, access: DeskAccess, http: OutboundHttp) -> None:
        self._access = access
        self._http = http
        self._options = Options.model_validate(dict(access.options))
        self._base = access.base_url.rstrip("/") + "/api/v3"
        self._envelope = "note" if self._options.edition is Edition.ON_PREMISES else "request_note"

    async def fetch(self, external_id: str) -> DeskTicket:
        """This will read one request."""
        body = await self._call("GET", f"/requests/{quote(external_id, safe='')}")
        request = _mapping(body.get("request"))
        status = str(_mapping(request.get("status")).get("name") or "")
        people = (
            str(_mapping(request.get(role)).get("name") or "") for role in ("requester", "technician", "created_by")
        )
        return DeskTicket(
            external_id=str(request.get("id") or external_id),
            title=str(request.get("subject") or ""),
            body=str(request.get("description") or request.get("short_description") or ""),
            resolution=str(_mapping(request.get("resolution")).get("content") or ""),
            status=status,
            closed=status.strip().lower() in self._options.closed_statuses,
            people=tuple(dict.fromkeys(name for name in people if name)),
            url=f"{self._access.base_url.rstrip('/')}/WorkOrder.do?woMode=viewWO&woID={quote(external_id, safe='')}",
        )

    async def list_notes(self, external_id: str) -> list[DeskNote]:
        """This will read the request's notes, page by page; a list without texts is completed one by one."""
        path = f"/requests/{quote(external_id, safe='')}/notes"
        found: list[DeskNote] = []
        while len(found) < _MAX_NOTES:
            window = {"list_info": {"row_count": _PAGE, "start_index": len(found) + 1}}
            body = await self._call("GET", f"{path}?{urlencode({'input_data': orjson.dumps(window)})}")
            rows = body.get("notes") or body.get("request_notes") or []
            for row in rows:
                found.append(await self._note(path, _mapping(row)))
            if not rows or not _mapping(body.get("list_info")).get("has_more_rows"):
                break
        return found

    async def put_note(self, external_id: str, *, note_id: str | None, html: str) -> str:
        """This will add a private note or edit ours; the flags keep the requester and the SLA clock out of it."""
        path = f"/requests/{quote(external_id, safe='')}/notes"
        note: dict[str, Any] = {"description": html, "show_to_requester": False, "notify_technician": False}
        if note_id is None:
            # These two may be set only when a note is added. The first would stop the response clock.
            note |= {"mark_first_response": False, "add_to_linked_requests": False}
        form = urlencode({"input_data": orjson.dumps({self._envelope: note})}).encode()
        target = path if note_id is None else f"{path}/{quote(note_id, safe='')}"
        body = await self._call("POST" if note_id is None else "PUT", target, form=form)
        stored = _mapping(body.get(self._envelope) or body.get("note") or body.get("request_note"))
        return str(stored.get("id") or note_id or "")

    async def _note(self, path: str, row: dict[str, Any]) -> DeskNote:
        note_id = str(row.get("id") or "")
        if "description" not in row and note_id:
            body = await self._call("GET", f"{path}/{quote(note_id, safe='')}")
            row = _mapping(body.get(self._envelope) or body.get("note") or body.get("request_note"))
        return DeskNote(id=note_id, text=str(row.get("description") or ""))

    async def _call(self, method: str, path: str, *, form: bytes | None = None) -> dict[str, Any]:
        headers = {"accept": _ACCEPT} | self._credential()
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        try:
            response = await self._http.request(
                method,
                self._base + path,
                headers=headers,
                content=form,
                timeout_s=self._access.timeout_s,
                max_bytes=_MAX_BYTES,
            )
        except EgressRefused as error:
            raise DeskFailure("egress_refused", str(error), retryable=False) from error
        except OutboundError as error:
            applied = None if error.sent else False
            code = "desk_timeout" if isinstance(error, OutboundTimeout) else "desk_unreachable"
            raise DeskFailure(code, error.code, retryable=True, applied=applied) from error
        return _opened(response.status, response.body)

    def _credential(self) -> dict[str, str]:
        if self._options.edition is Edition.CLOUD:
            return {"authorization": f"Zoho-oauthtoken {self._access.secret}"}
        return {"authtoken": self._access.secret}


def _opened(status: int, raw: bytes) -> dict[str, Any]:
    """This will take the vendor's envelope off, or raise what its ``response_status`` says."""
    try:
        body = _mapping(orjson.loads(raw))
    except orjson.JSONDecodeError:
        body = {}
    outer = body.get("response_status")
    said = _mapping(outer[0] if isinstance(outer, list) and outer else outer)
    if 200 <= status < 300 and said.get("status") == "success":
        return body
    messages = [_mapping(message) for message in said.get("messages") or []]
    codes = {message.get("status_code") for message in messages} | {said.get("status_code")}
    # Never the desk's own words: they may repeat the key or the note.
    detail = f"HTTP {status}, code {'/'.join(sorted(str(code) for code in codes if code)) or 'none'}"
    if status in {401, 403} or codes & _CREDENTIAL_CODES:
        raise DeskFailure("credential_rejected", detail, retryable=False)
    if status == 404 or codes & _NOT_FOUND_CODES:
        raise DeskFailure("ticket_missing", detail, retryable=False)
    if status == 429:
        raise DeskFailure("desk_busy", detail, retryable=True)
    if status >= 500:
        raise DeskFailure("desk_error", detail, retryable=True, applied=None)
    if 200 <= status < 300:
        # A success status without the envelope is a proxy's page or a cut answer.
        raise DeskFailure("desk_answer_unclear", detail, retryable=True, applied=None)
    raise DeskFailure("desk_refused", detail, retryable=False)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def connect(access: DeskAccess, http: OutboundHttp) -> Desk:
    """This will return the client for one tenant's installation."""
    return ServiceDesk(access, http)


DESK = DeskKind(
    slug="servicedesk",
    title="ManageEngine ServiceDesk Plus",
    options=Options,
    capabilities=DeskCapabilities(edits_notes=True, hides_notes_from_requester=True),
    connect=connect,
)
