"""As the senders really post: forms, their own headers, the secret where each can put it; through to the incident."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

import orjson
import pytest
from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.contract import FORM
from app.ingest.service import CreatedSource, get_receipt
from app.ingest.sources import get_source
from tests.contracts.test_sources import FOLDER, read_sample
from tests.factories.ingest import Sender, committed_source
from tests.fixtures.jobs import run_jobs


class Line:
    """A sender's own way of posting, and what became of it."""

    def __init__(self, sender: Sender, resources: Resources, tenant: TenantId) -> None:
        self._sender, self._resources, self._tenant = sender, resources, tenant

    async def post(self, source: CreatedSource, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """This will post the body and run what follows; the receipt's outcomes and warnings come back."""
        answer = await self._sender.client.post(source.url_path, content=body, headers=headers)
        assert answer.status_code in (200, 202), answer.text
        await run_jobs(self._resources)
        async with tenant_session(self._resources.get(Database), self._tenant) as session:
            receipt = await get_receipt(session, delivery_id=answer.json()["receipt_id"])
        assert receipt.state == "processed", receipt
        return {"outcomes": receipt.outcomes, "warnings": receipt.warnings}

    async def incidents(self) -> list[tuple[str, str]]:
        """Severity and state of the tenant's incidents."""
        async with tenant_session(self._resources.get(Database), self._tenant) as session:
            found = await session.execute(text("select severity, state from incidents order by number"))
            return [(row.severity, row.state) for row in found]


@pytest.fixture
def line(scratch_sender: Sender, scratch_resources: Resources, tenant: TenantId) -> Line:
    return Line(scratch_sender, scratch_resources, tenant)


def sample_of(slug: str, name: str) -> bytes:
    return read_sample(get_source(slug), (FOLDER / slug / "samples" / f"{name}.json").read_bytes()).body


async def test_forms_with_the_secret_in_the_address(
    line: Line, scratch_resources: Resources, tenant: TenantId, clock: FakeClock
) -> None:
    source = await committed_source(scratch_resources, tenant, kind="statuscake")
    assert "token=" in source.url_path
    form = {"content-type": f"{FORM}; charset=utf-8"}
    assert (await line.post(source, sample_of("statuscake", "down"), form))["outcomes"] == {"opened": 1}
    assert await line.incidents() == [("P1", "open")]
    clock.advance(timedelta(seconds=60))
    assert (await line.post(source, sample_of("statuscake", "up"), form))["outcomes"] == {"resolved": 1}
    clock.advance(timedelta(seconds=60))
    # The very bytes of the first outage: a new one, and no retry.
    assert (await line.post(source, sample_of("statuscake", "down"), form))["outcomes"] == {"reopened": 1}
    assert await line.incidents() == [("P1", "open")]


async def test_githubs_signed_form_and_its_ping(line: Line, scratch_resources: Resources, tenant: TenantId) -> None:
    source = await committed_source(scratch_resources, tenant, kind="github")
    assert source.secret is not None

    def headers(body: bytes, event: str, content_type: str, delivery: str) -> dict[str, str]:
        digest = hmac.new(source.secret.encode() if source.secret else b"", body, hashlib.sha256).hexdigest()
        return {
            "content-type": content_type,
            "x-github-event": event,
            "x-github-delivery": delivery,
            "x-hub-signature-256": f"sha256={digest}",
        }

    ping = orjson.dumps({"zen": "Design for failure.", "hook_id": 1})
    said = await line.post(source, ping, headers(ping, "ping", "application/json", "d-1"))
    assert said == {"outcomes": {}, "warnings": ["a ping: the hook works"]}
    form = b"payload=" + quote_plus(sample_of("github", "deployment_failed").decode()).encode()
    assert (await line.post(source, form, headers(form, "deployment_status", FORM, "d-2")))["outcomes"] == {"opened": 1}
    assert await line.incidents() == [("P1", "open")]


async def test_opsgenies_custom_header_acknowledges_and_closes(
    line: Line, scratch_resources: Resources, tenant: TenantId, clock: FakeClock
) -> None:
    source = await committed_source(scratch_resources, tenant, kind="opsgenie")
    headers = {"content-type": "application/json", "x-tocsin-token": source.secret or ""}
    states = []
    for name in ("create", "acknowledge", "add_note", "close"):
        await line.post(source, sample_of("opsgenie", name), headers)
        states += await line.incidents()
        clock.advance(timedelta(seconds=60))
    assert states == [("P0", "open"), ("P0", "acknowledged"), ("P0", "acknowledged"), ("P0", "resolved")]
