"""One trace from the webhook to the last effect, as a real OTLP receiver sees it from three processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from app.core.clock import SystemClock
from app.embedded.breakable import create_breakable
from app.net.signing import get_profile, sign
from tests.fixtures.otlp import OtlpReceiver, ReceivedSpan
from tests.fixtures.servicedesk import ServedDesk, serve
from tests.fixtures.wait import wait_until
from tests.flows.conftest import FlowTenant

ALERT = {"alertname": "ServiceDown", "instance": "web-1"}


@pytest.fixture
def stack_environment(otlp: OtlpReceiver) -> dict[str, str]:
    """The stack of this module's tests exports its spans."""
    return {"TOCSIN_TELEMETRY__OTLP_ENDPOINT": otlp.endpoint, "TOCSIN_TELEMETRY__EXPORT_INTERVAL_S": "0.2"}


@pytest.fixture
async def broken_service() -> AsyncIterator[str]:
    """A service that answers 503 until it is restarted."""
    app: Starlette = create_breakable()
    assert all(isinstance(route, Route) for route in app.routes)
    async with serve(app) as url, httpx.AsyncClient() as client:
        (await client.post(f"{url}/break")).raise_for_status()
        yield url


async def prepare_remediation(flow: FlowTenant, service: str) -> tuple[str, str]:
    await flow.post("/v1/targets", {"name": "web", "kind": "http", "connection": {"base_url": service}})
    rule = {"name": "r", "match": {"alert": ["ServiceDown"]}, "runbook": "http-service-recovery"}
    await flow.post("/v1/runbook-rules", {**rule, "targets": {"service": "web"}, "mode": "auto"})
    source = await flow.post("/v1/sources", {"kind": "alertmanager", "name": "am", "profile": "bearer"})
    return f"{flow.stack.api_url}{source['source']['url_path']}", source["secret"]


async def test_an_alerts_trace_reaches_from_the_webhook_to_the_verified_repair(
    flow: FlowTenant, otlp: OtlpReceiver, broken_service: str
) -> None:
    url, token = await prepare_remediation(flow, broken_service)
    body = {"version": "4", "status": "firing", "alerts": [{"status": "firing", "labels": ALERT}]}
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, json=body, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 202, answer.text

    async def recovered() -> bool:
        runs = (await flow.get("/v1/runs"))["items"]
        return bool(runs) and runs[0]["outcome"] == "recovered"

    await wait_until(recovered, timeout_s=40, every_s=0.2, what=f"the run recovers\n{flow.stack.tail('worker')}")
    trace_id = (await flow.get(f"/v1/receipts/{answer.json()['receipt_id']}"))["trace_id"]

    def whole() -> bool:
        names = {span.name for span in otlp.spans(trace_id=trace_id)}
        return {"runbook check", "runbook act", "runbook verify", "outbound.request"} <= names

    await wait_until(whole, timeout_s=15, what=f"the spans arrive: {[s.name for s in otlp.spans(trace_id=trace_id)]}")
    await assert_is_one_tree(otlp, trace_id)
    spans = otlp.spans(trace_id=trace_id)
    assert {span.service for span in spans} == {"tocsin-api", "tocsin-worker"}
    assert not any(span.failed for span in spans), [span for span in spans if span.failed]


async def test_a_tickets_trace_reaches_from_the_webhook_to_the_note(
    flow: FlowTenant, otlp: OtlpReceiver, servicedesk: ServedDesk
) -> None:
    source = await flow.post("/v1/sources", {"kind": "servicedesk", "name": "desk", "profile": "standard_webhooks"})
    await flow.post(
        "/v1/desks", {"kind": "servicedesk", "name": "d", "base_url": servicedesk.url, "secret": servicedesk.key}
    )
    servicedesk.standin.add_ticket(ticket_id="9001", subject="Mail is slow", description="Mail is slow")
    body = b'{"event": "created", "request": {"id": "9001", "subject": "Mail is slow", "description": "Mail is slow"}}'
    headers = dict(
        sign(get_profile("standard_webhooks"), source["secret"], body, SystemClock().now(), delivery_id="msg_1")
    )
    async with httpx.AsyncClient(base_url=flow.stack.api_url) as client:
        answer = await client.post(source["source"]["url_path"], content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    await wait_until(lambda: servicedesk.standin.notes_of("9001"), timeout_s=30, what="the note is written")
    trace_id = (await flow.get(f"/v1/receipts/{answer.json()['receipt_id']}"))["trace_id"]

    def seen() -> bool:
        return any(span.name == "job enhancement.enhance_ticket" for span in otlp.spans(trace_id=trace_id))

    await wait_until(seen, timeout_s=15, what="the enhancement's span arrives")
    await assert_is_one_tree(otlp, trace_id)


async def assert_is_one_tree(otlp: OtlpReceiver, trace_id: str) -> None:
    """Every span but the first hangs below another of the same trace; a parent ends, and is exported, after its children."""

    def roots() -> list[ReceivedSpan]:
        spans = otlp.spans(trace_id=trace_id)
        known = {span.span_id for span in spans}
        return [span for span in spans if span.parent_id not in known]

    await wait_until(
        lambda: len(roots()) == 1, timeout_s=15, what=f"one root: {[(s.name, s.parent_id) for s in roots()]}"
    )
    assert roots()[0].service == "tocsin-api"
