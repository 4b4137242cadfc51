"""Opsgenie's Alert API behind a source: ``v2/alerts`` and what is beneath it.

Source: docs.opsgenie.com, "Alert API" (paths, ``identifierType``, request status, get alert), read 2026-11. What changes
something is answered 202 with a ``requestId``, which is the receipt; what came of it is asked at
``/v2/alerts/requests/{requestId}``. Errors have ``message``, ``took`` and ``requestId``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote
from uuid import UUID

import orjson
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import Unavailable
from app.core.ids import new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest import answers
from app.ingest.answers import Answer
from app.ingest.delivery_door import DeliveryDoor
from app.ingest.dropin.opsgenie_view import alias_of_request, find_alert, request_status
from app.ingest.dropin.stored import keep
from app.ingest.known_sources import KnownSource
from app.ingest.sources.opsgenie_api import ACTION_HEADER, ACTIONS, KEY_HEADER, faults
from app.net.signing import SignedRequest, Verified
from app.settings import Settings

KIND = "opsgenie_api"
IDENTIFIERS = ("id", "alias", "tiny")
_MAX_IDENTIFIER = 512
_ACCEPTED = "Request will be processed"


class Asked(NamedTuple):
    """What a path asks for.

    Attributes:
        what: An action, ``request`` or ``get``.
        identifier: Of the alert or the request; empty for creating.
    """

    what: str
    identifier: str = ""


class OpsgenieDoor:
    """Takes and answers what senders ask of the Alert API."""

    methods = frozenset({"GET", "POST", "DELETE"})

    def __init__(self, resources: Resources, deliveries: DeliveryDoor) -> None:
        self._database = resources.get(Database)
        self._deliveries = deliveries
        self.gate = deliveries.gate
        self._overloaded = answers.overloaded(resources.get(Settings).ingest.retry_after_s)

    def serves(self, source: KnownSource) -> bool:
        """This will say that only sources of this kind have the door."""
        return source.kind == KIND

    async def take(self, source: KnownSource, verdict: Verified, request: SignedRequest) -> Answer:
        """This will do what the path asks for."""
        started = time.perf_counter()
        asked = read_path(request.method, request.path)
        if asked is None:
            return failure(404, "Not found: this part of the API is not served.", "malformed")
        kind = identifier_type(request.query)
        if kind is None:
            return failure(422, "identifierType must be one of [id, alias, tiny].", "malformed")
        try:
            if asked.what == "request":
                return await self._request(source, asked.identifier, started)
            if asked.what == "get":
                return await self._get(source, asked.identifier, kind, started)
            return await self._act(source, verdict, request, asked, kind, started)
        except (Unavailable, SQLAlchemyError, OSError):
            return self._overloaded

    async def _act(
        self, source: KnownSource, verdict: Verified, request: SignedRequest, asked: Asked, kind: str, started: float
    ) -> Answer:
        payload = read_payload(request.body)
        if payload is None:
            return failure(400, "Request body is not a JSON object.", "malformed")
        found = faults(payload, action=asked.what)
        if found:
            return failure(422, "Request body is not processable. Please check the errors.", "malformed", errors=found)
        delivery_id = new_id()
        alias = await self._alias(source, payload, asked, kind, own=str(delivery_id))
        stored = await keep(
            self._deliveries,
            source,
            verdict,
            request,
            body=request.body,
            delivery_id=delivery_id,
            headers={ACTION_HEADER: asked.what, KEY_HEADER: quote(alias, safe="")},
            once=asked.what == "notes" or alias == str(delivery_id),
        )
        outcome = "duplicate" if stored.duplicate else "accepted"
        said = {"result": _ACCEPTED, "took": took(started), "requestId": str(stored.receipt_id)}
        return answers.json_answer(202, said, outcome)

    async def _alias(
        self, source: KnownSource, payload: Mapping[str, Any], asked: Asked, kind: str, *, own: str
    ) -> str:
        """Which alert is meant; nothing where the one that is named does not exist."""
        if asked.what == "create":
            given = payload.get("alias")
            return given if isinstance(given, str) and given.strip() else own
        if kind == "alias":
            return asked.identifier
        async with tenant_session(self._database, source.tenant_id) as session:
            alert = await find_alert(session, source_id=source.source_id, identifier=asked.identifier, kind=kind)
            if alert is not None:
                return alert.dedup_key
            # What was created a moment ago is named by its request before it is an alert.
            waiting = kind == "id"
            return (
                await alias_of_request(session, source_id=source.source_id, request_id=asked.identifier)
                if waiting
                else ""
            )

    async def _get(self, source: KnownSource, identifier: str, kind: str, started: float) -> Answer:
        async with tenant_session(self._database, source.tenant_id) as session:
            alert = await find_alert(session, source_id=source.source_id, identifier=identifier, kind=kind)
            if alert is None:
                return failure(404, f"Alert with {kind} [{identifier[:100]}] does not exist.", "read")
            data = await alert.shown(session)
        return _data(data, started)

    async def _request(self, source: KnownSource, identifier: str, started: float) -> Answer:
        async with tenant_session(self._database, source.tenant_id) as session:
            data = await request_status(session, source_id=source.source_id, request_id=identifier)
        if data is None:
            return failure(404, "Request not found. It might not be processed, yet.", "read")
        return _data(data, started)


def read_path(method: str, path: str) -> Asked | None:
    """This will say what a path beneath a source asks for, None for what is not served."""
    parts = [unquote(part) for part in path.rstrip("/").split("/")[3:]]
    if parts[:2] != ["v2", "alerts"] or any(not part or len(part) > _MAX_IDENTIFIER for part in parts):
        return None
    asked: Asked | None
    match (method, parts[2:]):
        case ("POST", []):
            asked = Asked("create")
        case ("POST", [identifier, action]) if action in ACTIONS - {"create"}:
            asked = Asked(action, identifier)
        case ("DELETE", [identifier]):
            # What is deleted over there is over; what is known of it stays.
            asked = Asked("close", identifier)
        case ("GET", ["requests", identifier]):
            asked = Asked("request", identifier)
        case ("GET", [identifier]):
            asked = Asked("get", identifier)
        case _:
            asked = None
    return asked


def identifier_type(query: bytes) -> str | None:
    """This will return how the alert is named; None for a way that there is not."""
    try:
        given = parse_qs(query.decode("latin-1"), max_num_fields=20).get("identifierType", ["id"])[-1]
    except ValueError:
        return None
    return given if given in IDENTIFIERS else None


def read_payload(body: bytes) -> dict[str, Any] | None:
    """This will return the body's JSON object, an empty one of an empty body, None for everything else."""
    if not body.strip():
        return {}
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return payload if isinstance(payload, dict) else None


def took(started: float) -> float:
    """This will return seconds, as Opsgenie's answers have them."""
    return round(time.perf_counter() - started, 3)


def failure(status: int, message: str, outcome: str, *, errors: Mapping[str, str] | None = None) -> Answer:
    """This will answer with an error in Opsgenie's shape."""
    said: dict[str, Any] = {"message": message, "took": 0.0, "requestId": str(new_request_id())}
    return answers.json_answer(status, said | ({"errors": dict(errors)} if errors else {}), outcome)


def new_request_id() -> UUID:
    """This will name an answer that no receipt belongs to."""
    return new_id()


def _data(data: Mapping[str, Any], started: float) -> Answer:
    return answers.json_answer(200, {"data": data, "took": took(started), "requestId": str(new_request_id())}, "read")
