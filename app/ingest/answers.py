"""What the intake route says, built once: a refusal costs no formatting and tells nothing but its kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

import orjson

from app.ingest.bodies import Drains, Message, Receive

Send = Callable[[Message], Awaitable[None]]
_DRAINS = Drains()

_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    outcome: str


async def say(answer: Answer, receive: Receive, send: Send) -> None:
    """This will send a whole response.

    The sender of a body that is too large is still sending it. A server that hangs up on one resets the connection, and the
    refusal is lost on the way (RFC 9112, 9.6): so some of the rest is read before the end, and forgotten.
    """
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        await _DRAINS.drain(receive)
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": answer.body})


def problem(
    status: int, code: str, title: str, detail: str, outcome: str, *more: tuple[bytes, bytes], close: bool = False
) -> Answer:
    """This will build a problem document (RFC 9457) as a whole response."""
    body = orjson.dumps({"type": f"/problems/{code}", "title": title, "status": status, "detail": detail, "code": code})
    headers = (_PROBLEM, (b"content-length", str(len(body)).encode()), *more)
    # Where the body was not read to its end, the connection cannot carry another request.
    return Answer(status, (*headers, (b"connection", b"close")) if close else headers, body, outcome)


# Google Cloud Monitoring sends its user and password only after a 401 that asks for them. Every 401 does, so that none
# tells which profile a source has, or whether there is one.
UNAUTHORISED = problem(
    401,
    "ingest.unauthenticated",
    "Authentication failed",
    "The request could not be authenticated.",
    "unauthenticated",
    (b"www-authenticate", b'Basic realm="tocsin"'),
)
METHOD = problem(
    405,
    "ingest.method",
    "Only POST is accepted here",
    "Send the webhook with POST.",
    "method",
    (b"allow", b"POST"),
    close=True,
)
# CloudEvents, "HTTP 1.1 Web Hooks for Event Delivery", 4: Event Grid and its like ask whether events are wanted before they
# send any. The answer is the same for every address, so it tells of none; what then comes must still prove its sender.
WANTED = Answer(
    200,
    (
        (b"webhook-allowed-origin", b"*"),
        (b"webhook-allowed-rate", b"*"),
        (b"allow", b"POST"),
        (b"content-length", b"0"),
        (b"connection", b"close"),
    ),
    b"",
    "handshake",
)
TOO_LARGE = problem(413, "ingest.too_large", "The body is too large", "Send less at once.", "too_large", close=True)
MEDIA_TYPE = problem(
    415, "ingest.media_type", "The content type is not accepted", "Send application/json.", "media_type"
)
ENCODING = problem(
    415, "ingest.encoding", "The content encoding is not accepted", "Send the body uncompressed.", "media_type"
)
BAD_ENCODING = problem(400, "ingest.encoding", "The body does not decompress", "Check the encoding.", "malformed")
GONE = problem(410, "ingest.gone", "This source was deleted", "Stop sending to this URL.", "gone")


def other_method(method: str, headers: Sequence[tuple[bytes, bytes]]) -> Answer:
    """This will answer a request, unread, whose method its path does not take."""
    asks = method == "OPTIONS" and any(name == b"webhook-request-origin" for name, _ in headers)
    return WANTED if asks else METHOD


def overloaded(retry_after_s: int, *, close: bool = False) -> Answer:
    """503: Alertmanager and most others try again, which they would not after a 4xx."""
    return problem(
        503,
        "ingest.overloaded",
        "Temporarily unavailable",
        "The delivery was not taken; send it again.",
        "overloaded",
        (b"retry-after", str(retry_after_s).encode()),
        close=close,
    )


def accepted(status: int, receipt_id: UUID, *, duplicate: bool) -> Answer:
    """The receipt: the delivery is on disk, now or since an earlier request."""
    receipt = str(receipt_id).encode()
    body = b'{"receipt_id":"%b","duplicate":%b,"receipt_url":"/v1/receipts/%b"}' % (
        receipt,
        b"true" if duplicate else b"false",
        receipt,
    )
    return Answer(
        status,
        (_JSON, (b"content-length", str(len(body)).encode())),
        body,
        "duplicate" if duplicate else "accepted",
    )


def not_text(receipt_id: UUID) -> Answer:
    """The sender is who it says, but sent no UTF-8: kept as rejected, and told so."""
    body = orjson.dumps(
        {
            "type": "/problems/ingest.malformed",
            "title": "The body is not UTF-8",
            "status": 400,
            "detail": "The delivery is kept as rejected; see its receipt.",
            "code": "ingest.malformed",
            "receipt_id": str(receipt_id),
        }
    )
    return Answer(400, (_PROBLEM, (b"content-length", str(len(body)).encode())), body, "malformed")


def json_answer(status: int, what: Mapping[str, object], outcome: str) -> Answer:
    """This will answer with a JSON object."""
    body = orjson.dumps(dict(what))
    return Answer(status, (_JSON, (b"content-length", str(len(body)).encode())), body, outcome)


CONFIRMING = Answer(200, ((b"content-length", b"0"),), b"", "handshake")


def challenge(text: str) -> Answer:
    """The echo of a handshake that was signed."""
    body = text.encode()
    headers = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()))
    return Answer(200, headers, body, "handshake")
