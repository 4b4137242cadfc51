"""``http.probe`` and ``http.request`` on a real server: what they send, how answers are judged, and how long they wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.net.outbound import OutboundHttp
from app.remediation.actions import http_probe, http_request
from app.remediation.actions.http_request import Unclear
from app.remediation.contract import ActionTarget, NotApplied, Repeat, Unreachable
from tests.fixtures.servicedesk import serve
from tests.fixtures.wait import ends
from tests.remediation.targets import silent_server, target_of, to_read, to_write


@dataclass
class Service:
    """Answers as told and keeps what it got."""

    url: str = ""
    status: int = 200
    body: bytes = b'{"state": "well"}'
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        self.got.append((request.method, request.url.path, dict(request.headers), await request.body()))
        return Response(self.body, status_code=self.status, headers=self.headers)

    def target(self, **differs: Any) -> ActionTarget:
        return target_of("http", **({"base_url": self.url} | differs))


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    async with serve(Starlette(routes=[Route("/{path:path}", service.answer, methods=methods)])) as service.url:
        yield service


async def probe(
    http: OutboundHttp, target: ActionTarget, *, timeout_s: float = 5.0, **params: Any
) -> http_probe.Output:
    return await http_probe.run(to_read(target, http, timeout_s=timeout_s), http_probe.Params(**params))


async def request(
    http: OutboundHttp, target: ActionTarget, *, timeout_s: float = 5.0, **params: Any
) -> http_request.Output:
    given = http_request.Params.model_validate({"path": "/restart"} | params)
    return await http_request.run(to_write(target, http, timeout_s=timeout_s), given)


@pytest.mark.parametrize(
    ("status", "wanted", "contains", "up"),
    [
        (200, 200, None, True),
        (204, 200, None, False),
        (503, 200, None, False),
        (503, 503, None, True),
        (200, 200, "well", True),
        (200, 200, "ill", False),
        (302, 200, None, False),
    ],
)
async def test_a_service_is_up_by_status_and_text(
    service: Service, outbound: OutboundHttp, status: int, wanted: int, contains: str | None, up: bool
) -> None:
    service.status = status
    service.headers = {"location": "/elsewhere"} if status == 302 else {}
    service.body = b"" if status == 204 else service.body
    found = await probe(outbound, service.target(), path="/health", status=wanted, contains=contains)
    assert (found.up, found.status) == (up, status)
    assert [(method, path) for method, path, _, _ in service.got] == [("GET", "/health")], (
        "one look, no redirect followed"
    )


async def test_a_probe_tells_the_size_of_the_answer(service: Service, outbound: OutboundHttp) -> None:
    service.body = b"x" * 10_000
    found = await probe(outbound, service.target())
    assert (found.up, found.size_bytes) == (True, 10_000)


@pytest.mark.parametrize("action", ["probe", "request"])
@pytest.mark.parametrize("status", [200, 404, 500])
async def test_what_the_service_says_is_judged_and_not_kept(
    service: Service, outbound: OutboundHttp, action: str, status: int
) -> None:
    service.status, service.body = status, b"what only its own people may read"
    asked = probe if action == "probe" else request
    try:
        kept = str(await asked(outbound, service.target()))
    except (NotApplied, Unclear) as judged:
        kept = str(judged)
    assert "own people" not in kept
    assert str(status) in kept


async def test_an_answer_without_end_is_no_sign_of_health(service: Service, outbound: OutboundHttp) -> None:
    service.body = b"x" * (http_probe.MAX_BYTES + 1)
    found = await probe(outbound, service.target())
    assert (found.up, found.status) == (False, None)
    assert found.error


@pytest.mark.parametrize("action", ["probe", "request"])
async def test_the_secret_is_sent_as_a_bearer_token_and_not_repeated(
    service: Service, outbound: OutboundHttp, action: str
) -> None:
    target = service.target(secret="a-bearer")
    found = await (probe(outbound, target) if action == "probe" else request(outbound, target))
    assert [headers["authorization"] for _, _, headers, _ in service.got] == ["Bearer a-bearer"]
    assert "a-bearer" not in found.model_dump_json()
    await (probe(outbound, service.target()) if action == "probe" else request(outbound, service.target()))
    assert "authorization" not in service.got[-1][2]


async def test_a_service_that_is_not_there_or_silent_is_down_within_the_time(outbound: OutboundHttp) -> None:
    async with silent_server() as port:
        for base_url in ("http://127.0.0.1:1", f"http://127.0.0.1:{port}"):
            async with ends():
                found = await probe(outbound, target_of("http", base_url=base_url), timeout_s=0.5)
            assert (found.up, found.status) == (False, None)
            assert found.error


async def test_a_request_sends_what_it_is_told(service: Service, outbound: OutboundHttp) -> None:
    done = await request(outbound, service.target(base_url=f"{service.url}/base"), method="PUT", json={"replicas": 3})
    ((method, path, headers, body),) = service.got
    assert (method, path, body) == ("PUT", "/base/restart", b'{"replicas":3}')
    assert headers["content-type"] == "application/json"
    assert (done.status, done.size_bytes) == (200, len(service.body))


@pytest.mark.parametrize(
    ("repeat", "sent", "kind"),
    [
        ("once", None, Repeat.AT_MOST_ONCE),
        ("keyed", "e" * 64, Repeat.KEYED),
        ("idempotent", None, Repeat.IDEMPOTENT),
    ],
)
async def test_the_effects_key_goes_to_who_keeps_keys(
    service: Service, outbound: OutboundHttp, repeat: str, sent: str | None, kind: Repeat
) -> None:
    await request(outbound, service.target(), repeat=repeat)
    assert service.got[0][2].get("idempotency-key") == sent
    params = http_request.Params.model_validate({"path": "/", "repeat": repeat})
    assert http_request.ACTION.repeat(params) is kind


@pytest.mark.parametrize(
    ("status", "judged"),
    [
        (200, None),
        (202, None),
        (400, NotApplied),
        (404, NotApplied),
        (409, NotApplied),
        (429, NotApplied),
        (307, NotApplied),
        (302, Unclear),
        (303, Unclear),
        (500, Unclear),
        (502, Unclear),
        (503, Unclear),
    ],
)
async def test_only_a_plain_refusal_means_that_nothing_was_done(
    service: Service, outbound: OutboundHttp, status: int, judged: type[Exception] | None
) -> None:
    service.status, service.headers = status, {"location": "/elsewhere"}
    if judged is None:
        assert (await request(outbound, service.target())).status == status
    else:
        with pytest.raises(judged, match=str(status)):
            await request(outbound, service.target())
    assert len(service.got) == 1, "sent once, no redirect followed"


async def test_a_call_that_never_left_was_not_applied(outbound: OutboundHttp) -> None:
    with pytest.raises(NotApplied):
        await request(outbound, target_of("http", base_url="http://127.0.0.1:1"), timeout_s=0.5)


async def test_a_call_without_an_answer_is_unclear_within_the_time(outbound: OutboundHttp) -> None:
    async with silent_server() as port, ends():
        with pytest.raises(Unreachable) as unclear:
            await request(outbound, target_of("http", base_url=f"http://127.0.0.1:{port}"), timeout_s=2.0)
        assert unclear.value.sent


async def test_a_dry_run_is_a_sentence_and_sends_nothing(service: Service) -> None:
    params = http_request.Params.model_validate({"method": "DELETE", "path": "/cache"})
    assert http_request.ACTION.dry_run(service.target(secret="s3"), params) == f"would send DELETE {service.url}/cache"
    assert service.got == []


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "http://evil.example", "/a/../../b", "/%2e%2e/b", "relative", "/x y"]
)
def test_a_path_stays_below_the_base(path: str) -> None:
    for params in (http_probe.Params, http_request.Params):
        with pytest.raises(ValidationError):
            params.model_validate({"path": path})
