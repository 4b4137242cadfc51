"""The intake route's refusals in the words of the API that was asked: the same few for whatever is wrong with a key."""

from __future__ import annotations

from collections.abc import Mapping

from app.ingest import answers
from app.ingest.answers import Answer
from app.ingest.dropin import opsgenie, pagerduty
from app.ingest.dropin.routes import Api, Route

_UNAUTHENTICATED = "unauthenticated"
_PLAIN = (b"content-type", b"text/plain; charset=utf-8")

# Of the intake route's own answers; whatever a door said is in its API's words already.
_PAGERDUTY: Mapping[int, Answer | tuple[int, str, str]] = {
    401: pagerduty.UNKNOWN_KEY,
    405: (405, "method not allowed", "Events are sent with POST"),
    410: pagerduty.UNKNOWN_KEY,
    413: (413, "payload too large", "Events API payloads are limited to 512 KB"),
    415: (400, "invalid event", "The content encoding is not accepted"),
    503: (503, "temporarily unavailable", "The event was not accepted; send it again"),
}
_OPSGENIE = {
    401: (401, "Could not authenticate"),
    404: (404, "Heartbeat does not exist."),
    405: (405, "Method not allowed."),
    410: (401, "Could not authenticate"),
    413: (413, "Request body is too large."),
    415: (400, "Content encoding is not accepted."),
    503: (503, "The request was not accepted; send it again."),
}
_ONCALL = {
    401: (403, "Permission denied."),
    410: (403, "Permission denied."),
}


def translate(route: Route, answer: Answer) -> Answer:
    """This will return an answer of the intake route as the API that was asked would give it."""
    if answer.status < 400:
        return _success(route, answer)
    if route.api is Api.ONCALL:
        status, text = _ONCALL.get(answer.status, (answer.status, "The alert was not accepted."))
        return plain(status, text, answer)
    if b"application/problem+json" not in (value for name, value in answer.headers if name == b"content-type"):
        return answer
    if route.api is Api.PAGERDUTY:
        return _kept(answer, _pagerduty(answer.status))
    status, message = _OPSGENIE.get(answer.status, (answer.status, "Request was not accepted."))
    return _kept(answer, opsgenie.failure(status, message, answer.outcome))


def refused_key(api: Api) -> Answer:
    """This will answer to a request without anything that could be a key; what a key looks like is no secret."""
    if api is Api.OPSGENIE:
        return opsgenie.failure(401, "Could not authenticate", _UNAUTHENTICATED)
    return plain(403, _ONCALL[401][1], None)


def plain(status: int, text: str, answer: Answer | None) -> Answer:
    """This will answer in plain text."""
    body = text.encode()
    headers = (_PLAIN, (b"content-length", str(len(body)).encode()))
    fresh = Answer(status, headers, body, answer.outcome if answer is not None else _UNAUTHENTICATED)
    return _kept(answer, fresh) if answer is not None else fresh


def _success(route: Route, answer: Answer) -> Answer:
    if route.is_beat:
        said: Mapping[str, object] = {
            "result": "PONG - Heartbeat received",
            "took": 0.0,
            "requestId": str(opsgenie.new_request_id()),
        }
        return answers.json_answer(202, said, answer.outcome)
    return plain(200, "Ok.", answer) if route.api is Api.ONCALL else answer


def _pagerduty(status: int) -> Answer:
    found = _PAGERDUTY.get(status, (status, "not accepted", "The event was not accepted"))
    if isinstance(found, Answer):
        return found
    status, short, message = found
    return answers.json_answer(status, {"status": short, "message": message, "errors": [message]}, "")


def _kept(answer: Answer, said: Answer) -> Answer:
    """The new words with what the old answer told the connection: to come back later, to be closed."""
    kept = tuple(pair for pair in answer.headers if pair[0] in (b"retry-after", b"connection", b"allow"))
    return Answer(said.status, said.headers + kept, said.body, answer.outcome)
