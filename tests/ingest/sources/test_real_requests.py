"""Every kind's real sender against the real route: what it puts on the wire is taken, and becomes the alert it means.

A 415, 405 or 401 to a real sender is an alert that nobody sees. The credentials are made here by hand, as the sender makes
them, and not by the product's own signer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.dropin.app import DropInApp
from app.ingest.hot import IngestApp
from app.ingest.service import CreatedSource
from app.ingest.sources import all_sources, get_source
from app.net.signing.remote_keys import RemoteKeys
from tests.contracts.test_sources import FOLDER, Sample, read_sample
from tests.factories.ingest import committed_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.ingest.sources.real_requests import JSON, JSON_UTF8, WIRES, Wire
from tests.net.signing.issuers import CERTIFICATE_URL, TOPIC, Topic

SNS = Topic()


def test_every_kind_has_its_senders_request() -> None:
    assert {wire.slug for wire in WIRES} == set(all_sources())
    assert Counter(wire.name for wire in WIRES).most_common(1)[0][1] == 1


def sample_of(wire: Wire) -> Sample:
    found = (FOLDER / wire.slug / "samples" / f"{wire.sample}.json").read_bytes()
    return read_sample(get_source(wire.slug), found)


def titles_of(wire: Wire) -> set[str]:
    expected = orjson.loads((FOLDER / wire.slug / "samples" / f"{wire.sample}.expected.json").read_bytes())
    return {event["title"] for event in expected}


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def proof(profile: str, secret: str, body: bytes, now: datetime, delivery: str) -> dict[str, str]:
    """What the sender adds to its request, by its own vendor's rules."""
    stamp = str(int(now.timestamp()))
    if profile == "standard_webhooks":
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signature = base64.b64encode(mac(key, f"{delivery}.{stamp}.".encode() + body)).decode()
        return {"webhook-id": delivery, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}
    if profile == "grafana_timestamp":
        signed = mac(secret.encode(), stamp.encode() + b":" + body).hex()
        return {"x-grafana-alerting-signature": signed, "x-grafana-alerting-timestamp": stamp}
    whole = mac(secret.encode(), body).hex()
    return {
        "basic": {"authorization": "Basic " + base64.b64encode(secret.encode()).decode()},
        "bearer": {"authorization": f"Bearer {secret}"},
        "header_token": {"x-tocsin-token": secret},
        "gitlab": {"x-gitlab-token": secret},
        "github": {"x-hub-signature-256": f"sha256={whole}"},
        "jira": {"x-hub-signature": f"sha256={whole}"},
        "pagerduty": {"x-pagerduty-signature": f"v1={whole}"},
        "sentry": {"sentry-hook-signature": whole, "sentry-hook-timestamp": stamp, "request-id": delivery},
        "sns": {"x-amz-sns-topic-arn": TOPIC},
        "url_secret": {},
    }[profile]


def body_of(wire: Wire, sample: Sample, secret: str, now: datetime) -> bytes:
    if wire.slug == "cloudwatch":
        return SNS.message(now=now, Message=json.loads(sample.body)["Message"])
    if wire.slug == "prometheus":
        # An alert holds until its endsAt, four minutes ahead each time that Prometheus sends it.
        times = {"startsAt": now - timedelta(minutes=1), "endsAt": now + timedelta(minutes=4)}
        return orjson.dumps([alert | times for alert in orjson.loads(sample.body)])
    if wire.path == "/v2/enqueue":
        return orjson.dumps(orjson.loads(sample.body) | {"routing_key": secret})
    return sample.body


class Senders:
    """A tenant with a source for each request, and the intake route in front of it."""

    def __init__(self, api: httpx.AsyncClient, resources: Resources, tenant: TenantId, clock: FakeClock) -> None:
        self.api = api
        self._resources, self._tenant, self._clock = resources, tenant, clock

    async def source_of(self, wire: Wire) -> CreatedSource:
        changes: dict[str, Any] = {"kind": wire.slug, "name": wire.name}
        if get_source(wire.slug).profile == "sns":
            changes["secret"] = TOPIC
        config = sample_of(wire).config.model_dump(mode="json", exclude_defaults=True)
        return await committed_source(self._resources, self._tenant, config=config, **changes)

    async def generic(self, **changes: Any) -> CreatedSource:
        return await committed_source(self._resources, self._tenant, kind="generic", **changes)

    async def send(self, wire: Wire, source: CreatedSource) -> httpx.Response:
        sample, secret, now = sample_of(wire), source.secret or "", self._clock.now()
        body = body_of(wire, sample, secret, now)
        # A sender with a path or a header of its own for the secret adds nothing to them.
        adds_proof = wire.path.startswith("{address}") and "{secret}" not in wire.headers.values()
        shown = proof(source.source.profile, secret, body, now, f"d-{wire.name}") if adds_proof else {}
        typed = {"content-type": wire.content_type} if wire.content_type is not None else {}
        own = {name: value.format(secret=secret) for name, value in wire.headers.items()}
        headers = {**sample.headers, "user-agent": wire.agent, **typed, **own, **shown}
        address, _, query = source.url_path.partition("?")
        path = wire.path.format(address=address, secret=secret)
        content = pieces(body) if wire.chunked else body
        return await self.api.post(f"{path}?{query}" if query else path, content=content, headers=headers)

    async def titles(self) -> dict[str, set[str]]:
        """The alerts of each source, by its name."""
        found: dict[str, set[str]] = {}
        async with tenant_session(self._resources.get(Database), self._tenant) as session:
            rows = await session.execute(
                text("select s.name, a.title from alerts a join sources s on s.id = a.source_id")
            )
            for row in rows:
                found.setdefault(row.name, set()).add(row.title)
        return found


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100):
        yield body[start : start + 100]


@pytest.fixture
async def senders(scratch_database: Database, scratch_resources: Resources, clock: FakeClock) -> AsyncIterator[Senders]:
    async def fetch(url: str) -> bytes:
        assert url == CERTIFICATE_URL
        return SNS.certificate()

    scratch_resources.provide(RemoteKeys, RemoteKeys(fetch, ticks=lambda: 0.0))
    intake = IngestApp(scratch_resources)
    dropin = DropInApp(scratch_resources, intake.answer)

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        await (dropin if DropInApp.serves(scope["path"]) else intake)(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=dispatch), base_url="http://tocsin.test") as api:
        yield Senders(api, scratch_resources, await make_tenant(scratch_database), clock)
    await intake.aclose()


async def test_every_senders_request_becomes_its_alert(senders: Senders, scratch_resources: Resources) -> None:
    refused = {}
    for wire in WIRES:
        answer = await senders.send(wire, await senders.source_of(wire))
        if answer.status_code not in (200, 201, 202):
            refused[wire.name] = (answer.status_code, answer.text)
    assert refused == {}
    await run_jobs(scratch_resources, max_jobs=5_000)
    found = await senders.titles()
    assert found == {wire.name: titles_of(wire) for wire in WIRES}


async def test_a_sender_that_waits_to_be_asked_is_asked(senders: Senders) -> None:
    """Google Cloud Monitoring sends without its password first, and with it only where a 401 names the scheme."""
    wire = next(wire for wire in WIRES if wire.slug == "gcp_monitoring")
    source = await senders.source_of(wire)
    assert source.secret is not None
    auth = httpx.BasicAuth(*source.secret.split(":", 1))
    body, typed = sample_of(wire).body, {"content-type": JSON}
    unasked = await senders.api.post(source.url_path, content=body, headers=typed)
    assert (unasked.status_code, unasked.headers["www-authenticate"]) == (401, 'Basic realm="tocsin"')
    assert (await senders.api.post(source.url_path, content=body, headers=typed, auth=auth)).status_code == 202
    stranger = await senders.api.post(f"/in/{'q' * 26}", content=body, headers=typed)
    signed = await senders.source_of(next(wire for wire in WIRES if wire.slug == "jira"))
    other = await senders.api.post(signed.url_path, content=body, headers=typed)
    assert (stranger.headers, stranger.content) == (unasked.headers, unasked.content)
    assert (other.headers, other.content) == (unasked.headers, unasked.content)


async def test_event_grids_question_is_answered_alike_for_every_address(senders: Senders) -> None:
    source = await senders.source_of(next(wire for wire in WIRES if wire.slug == "cloudevents"))
    asks = {"webhook-request-origin": "eventgrid.azure.net", "webhook-request-rate": "120"}
    known, unknown = [
        await senders.api.options(path, headers=asks) for path in (source.url_path, f"/in/{'q' * 26}?token=x")
    ]
    assert known.status_code == unknown.status_code == 200
    assert (known.headers["webhook-allowed-origin"], known.headers["webhook-allowed-rate"]) == ("*", "*")
    assert known.headers["allow"] == "POST"
    assert (known.headers, known.content) == (unknown.headers, unknown.content)
    assert (await senders.api.options(source.url_path)).status_code == 405


async def test_a_content_type_without_a_value_is_none(senders: Senders) -> None:
    wire = next(wire for wire in WIRES if wire.slug == "splunk")
    source = await senders.source_of(wire)
    answer = await senders.api.post(source.url_path, content=sample_of(wire).body, headers={"content-type": ""})
    assert answer.status_code == 202


async def test_jiras_body_may_be_left_out(senders: Senders, clock: FakeClock) -> None:
    """A webhook's "Exclude body" is ticked: taken, and kept as what it is, so that somebody sees it."""
    source = await senders.source_of(next(wire for wire in WIRES if wire.slug == "jira"))
    shown = proof("jira", source.secret or "", b"", clock.now(), "d-1")
    answer = await senders.api.post(source.url_path, headers={"content-type": JSON_UTF8, **shown})
    assert answer.status_code == 202


async def test_linear_gets_the_200_without_which_it_sends_again(senders: Senders, clock: FakeClock) -> None:
    source = await senders.generic(profile="linear", secret="lin_wh_a_secret_of_this_test_only")
    now_ms = int(clock.now().timestamp() * 1000)
    body = orjson.dumps({"action": "create", "type": "Issue", "title": "A", "webhookTimestamp": now_ms})
    signature = mac((source.secret or "").encode(), body).hex()
    headers = {"content-type": JSON_UTF8, "linear-delivery": "d-1", "linear-signature": signature}
    assert (await senders.api.post(source.url_path, content=body, headers=headers)).status_code == 200
