"""The paths of other services, in front of FastAPI: finds the source by the sender's key, then asks the intake route.

Nothing is verified, counted against limits or stored here. A request is handed on as if it had come to the source's own
address with the key as its bearer token, so caps, fair turns, refusals, the group commit and the receipt are those of
every delivery; only the answer is put into the words of the API that was asked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from prometheus_client import Counter

from app.core.errors import Unavailable
from app.core.resources import Resources
from app.ingest import answers
from app.ingest.answers import Answer, Send
from app.ingest.bodies import Arriving, ClientGone, Crowded, Receive, TooLarge, read_body
from app.ingest.dropin import pagerduty
from app.ingest.dropin.keys import MAX_KEY_CHARS, SenderKeys
from app.ingest.dropin.routes import PREFIXES, Api, Route, find_route
from app.ingest.dropin.translations import refused_key, translate
from app.observability.metrics import counter
from app.settings import Settings

REQUESTS = counter(
    "tocsin_dropin_requests_total",
    "Requests to the paths of other services, by whose API and by the answer's status.",
    ("api", "status"),
)

Scope = MutableMapping[str, Any]
Intake = Callable[[Scope, Receive], Awaitable[Answer]]

PAGERDUTY_MAX_BYTES = 524_288
"""What PagerDuty documents as the limit of an event. It is read before the sender is known: the key stands in it."""

_CREDENTIALS = frozenset({b"authorization", b"x-routing-key"})
_NOT_SERVED = answers.json_answer(404, {"message": "Not found."}, "not_found")


class DropInApp:
    """Serves the other services' paths of one process, on top of its intake route."""

    def __init__(self, resources: Resources, intake: Intake) -> None:
        self._settings = resources.get(Settings).ingest
        self._intake = intake
        self._keys = SenderKeys(resources)
        self._arriving = Arriving(self._settings.max_inflight_bytes)
        self._reading = 0
        # Of events whose key is being looked up: the intake route counts what it has been handed only.
        self._held_bytes = 0
        self._overloaded = answers.overloaded(self._settings.retry_after_s, close=True)
        self._counters: dict[tuple[str, int], Counter] = {}

    @staticmethod
    def serves(path: str) -> bool:
        """This will say whether a path is another service's."""
        return path.startswith(PREFIXES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """This will answer one request; the ASGI entry."""
        raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
        route = find_route(raw.split(b"?", 1)[0].decode("latin-1"))
        try:
            answer = _NOT_SERVED if route is None else await self._answer(route, scope, receive)
        except ClientGone:
            return
        self._count(route, answer.status)
        await answers.say(answer, receive, send)

    def _count(self, route: Route | None, status: int) -> None:
        label = (route.api.value if route is not None else "none", status)
        found = self._counters.get(label)
        if found is None:
            found = self._counters[label] = REQUESTS.labels(label[0], str(status))
        found.inc()

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        if route.api is Api.PAGERDUTY:
            return await self._by_body(route, scope, receive)
        key = route.token if route.api is Api.ONCALL else _genie_key(scope)
        if not key or len(key) > MAX_KEY_CHARS:
            return refused_key(route.api)
        return await self._asked(route, key, scope, receive)

    async def _by_body(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        """PagerDuty's key is a field of the event, so the event is read before anything is known of its sender."""
        if scope["method"] != "POST":
            return translate(route, answers.METHOD)
        if _is_encoded(scope):
            return translate(route, answers.ENCODING)
        body = await self._read(receive)
        if isinstance(body, Answer):
            return translate(route, body)
        event = pagerduty.read_event(body)
        if event is None:
            return pagerduty.INVALID_JSON
        name = pagerduty.key_field(event, route.inner)
        found = pagerduty.key_faults(event, name)
        if found:
            return pagerduty.invalid(found)
        self._held_bytes += len(body)
        try:
            return await self._asked(route, str(event[name]), scope, _again(body))
        finally:
            self._held_bytes -= len(body)

    async def _read(self, receive: Receive) -> bytes | Answer:
        if (
            self._reading >= self._settings.max_inflight_requests
            or self._held_bytes > self._settings.max_inflight_bytes
        ):
            return self._overloaded
        self._reading += 1
        try:
            return await read_body(
                receive,
                cap_bytes=PAGERDUTY_MAX_BYTES,
                timeout_s=self._settings.body_timeout_s,
                arriving=self._arriving,
            )
        except TooLarge:
            return answers.TOO_LARGE
        except (TimeoutError, Crowded):
            return self._overloaded
        finally:
            self._reading -= 1

    async def _asked(self, route: Route, key: str, scope: Scope, receive: Receive) -> Answer:
        try:
            public_id = await self._keys.find(key)
        except Unavailable:
            return translate(route, self._overloaded)
        path = f"/in/{public_id}/{route.inner}".rstrip("/")
        inner = dict(scope)
        inner["path"], inner["raw_path"] = unquote(path), path.encode("latin-1")
        inner["headers"] = _with_key(scope["headers"], key)
        return translate(route, await self._intake(inner, receive))


def _genie_key(scope: Scope) -> str:
    """What stands behind ``GenieKey``, or as the password of basic authentication; nothing where the header is not there once.

    Alertmanager's webhooks cannot write the former, so Opsgenie's heartbeats are pinged with the latter.
    """
    found: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, shown = found[0].partition(b" ") if len(found) == 1 else (b"", b"", b"")
    if scheme.lower() == b"geniekey":
        return shown.strip().decode("latin-1")
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(shown.strip(), validate=True).partition(b":")[2].decode("latin-1")
        except binascii.Error:
            return ""
    return ""


def _is_encoded(scope: Scope) -> bool:
    return any(name == b"content-encoding" and value.lower() != b"identity" for name, value in scope["headers"])


def _with_key(headers: list[tuple[bytes, bytes]], key: str) -> list[tuple[bytes, bytes]]:
    """The request's headers with the key as its one credential.

    The type is JSON whatever the sender calls it: these APIs take nothing else, and many a script sends theirs as a form.
    """
    kept = [pair for pair in headers if pair[0] not in _CREDENTIALS and pair[0] != b"content-type"]
    return [
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + key.encode("utf-8", "surrogatepass")),
        *kept,
    ]


def _again(body: bytes) -> Receive:
    """A body that was read, to be read once more."""

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
