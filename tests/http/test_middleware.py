from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import structlog

from app.http.middleware import MAX_HEADER_BYTES, REQUESTS
from app.observability.metrics import REGISTRY
from app.observability.tracing import configure_tracing, flush_tracing, shutdown_tracing
from app.settings.telemetry import TelemetrySettings
from tests.fixtures.otlp import OtlpReceiver
from tests.http.test_problem import assert_problem
from tests.http.world import MAX_BODY, bare_resources, client_of, framed


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(framed(bare_resources())[1]) as client:
        yield client


@pytest.fixture
def receiver(otlp: OtlpReceiver) -> Iterator[OtlpReceiver]:
    configure_tracing(TelemetrySettings(otlp_endpoint=otlp.endpoint), process="api")
    yield otlp
    shutdown_tracing()


def counted(route: str, method: str, status: int) -> float:
    labels = {"route": route, "method": method, "status": str(status)}
    return REGISTRY.get_sample_value("tocsin_http_requests_total", labels) or 0.0


async def test_a_good_request_id_is_kept_and_others_are_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/notes", headers={"x-request-id": "abc-1.2_3"})
    assert answer.headers["x-request-id"] == "abc-1.2_3"
    for hostile in ("a b", "x" * 65, "{}", "a\tb"):
        given = (await client.get("/v1/notes", headers={"x-request-id": hostile})).headers["x-request-id"]
        assert given != hostile
        assert len(given) == 32


async def test_each_request_is_one_line_and_one_count_by_template(client: httpx.AsyncClient) -> None:
    before = counted("/v1/notes", "GET", 200)
    with structlog.testing.capture_logs() as logs:
        await client.get("/v1/notes?kind=secret-value")
    assert counted("/v1/notes", "GET", 200) == before + 1
    (line,) = [line for line in logs if line["event"] == "request.done"]
    assert (line["route"], line["method"], line["status"]) == ("/v1/notes", "GET", 200)
    assert "secret-value" not in repr(logs)


async def test_strangers_paths_and_methods_make_no_labels(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await client.get(f"/nothing/{number}")
        await client.request(f"BREW{number}", "/nothing")
    labels = {
        (sample.labels["route"], sample.labels["method"]) for family in REQUESTS.collect() for sample in family.samples
    }
    assert ("unmatched", "GET") in labels
    assert ("unmatched", "OTHER") in labels
    assert [route for route, _ in labels if "nothing" in route] == []
    assert [method for _, method in labels if "BREW" in method] == []


async def test_a_body_over_the_cap_is_refused_by_its_announced_length(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/notes", json={"text": "x" * MAX_BODY})
    assert_problem(answer, status=413, code="payload_too_large")


async def test_a_body_over_the_cap_is_refused_while_it_streams(client: httpx.AsyncClient) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 500
            yield b"x" * 500

    answer = await client.post("/v1/notes", content=endless(), headers={"content-type": "application/json"})
    assert_problem(answer, status=413, code="payload_too_large")
    assert taken <= MAX_BODY + 1_000


async def test_a_body_at_the_cap_is_taken(client: httpx.AsyncClient) -> None:
    text = "x" * 400
    padding = " " * (MAX_BODY - len(text) - len('{"text":""}'))
    content = f'{{"text":{padding}"{text}"}}'.encode()
    assert len(content) == MAX_BODY
    answer = await client.post("/v1/notes", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        [("x-many", str(number)) for number in range(1_000)],
        [("x-big", "v" * MAX_HEADER_BYTES)],
        [(f"x-{number}", "v" * 4_000) for number in range(25)],
    ],
)
async def test_too_many_or_too_big_headers_are_refused(
    client: httpx.AsyncClient, headers: list[tuple[str, str]]
) -> None:
    answer = await client.get("/v1/notes", headers=headers)
    assert_problem(answer, status=431, code="request.headers_too_large")


async def test_an_answer_that_does_not_begin_in_time_is_given_up(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/slow")
    assert_problem(answer, status=503, code="unavailable.timeout")
    assert answer.headers["retry-after"] == "1"


async def test_a_body_that_does_not_end_in_time_is_the_callers_fault() -> None:
    _, app = framed(bare_resources(), timeout_s=0.1)
    answer: list[dict[str, Any]] = []
    given = iter([{"type": "http.request", "body": b'{"te', "more_body": True}])

    async def receive() -> dict[str, Any]:
        message = next(given, None)
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    async def send(message: Any) -> None:
        answer.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/notes",
        "raw_path": b"/v1/notes",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
        "http_version": "1.1",
        "root_path": "",
        "scheme": "http",
    }
    await app(scope, receive, send)
    assert answer[0]["status"] == 408


async def test_a_stream_may_take_its_time_once_it_began(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/stream")).text == "first last"


async def test_answers_carry_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/v1/notes", "/v1/nothing"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "strict-transport-security" not in headers
    async with client_of(framed(bare_resources(), https_only=True)[1]) as https:
        assert "max-age" in (await https.get("/v1/notes")).headers["strict-transport-security"]


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://tocsin.test"])
async def test_no_origin_is_let_in(client: httpx.AsyncClient, origin: str) -> None:
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x"}
    for answer in (await client.options("/v1/notes", headers=asked), await client.get("/v1/notes", headers=asked)):
        assert [name for name in answer.headers if name.startswith("access-control")] == []


async def test_a_request_is_a_trace_of_its_own(client: httpx.AsyncClient, receiver: OtlpReceiver) -> None:
    foreign = f"00-{'a' * 32}-{'b' * 16}-01"
    await client.get("/v1/notes", headers={"traceparent": foreign, "x-tenant": "t1"})
    await client.get("/v1/nothing", headers={"traceparent": foreign + "-" + "x" * 5_000})
    flush_tracing()
    (span,) = receiver.spans("GET /v1/notes")
    assert span.trace_id != "a" * 32
    assert span.linked_trace_ids == ("a" * 32,)
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["tenant_id"] == "t1"
    (lost,) = receiver.spans("GET unmatched")
    assert lost.linked_trace_ids == ()


async def test_ids_of_one_request_do_not_stay_for_the_next(client: httpx.AsyncClient) -> None:
    structlog.contextvars.bind_contextvars(tenant_id="left behind")
    await client.get("/v1/notes", headers={"x-request-id": "second"})
    assert structlog.contextvars.get_contextvars() == {"request_id": "second"}
    structlog.contextvars.clear_contextvars()
