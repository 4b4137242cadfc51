"""What a stranger, or a sender who turns bad, gets out of the other services' paths: nothing."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.core.clock import FakeClock
from app.core.errors import Unavailable
from app.db.tenancy import tenant_session
from app.ingest.bodies import DRAINED_BYTES
from app.ingest.delivery_door import DeliveryDoor
from app.ingest.dropin.app import PAGERDUTY_MAX_BYTES, DropInApp
from app.ingest.hot import IngestApp
from app.ingest.service import rotate_secret
from app.net.keyring import KeyRing
from app.observability import tracing
from app.settings import Settings
from tests.factories.ingest import ACTOR
from tests.fixtures.database import make_tenant
from tests.fixtures.wait import wait_until
from tests.ingest.dropin.conftest import Mover, World, new_routing_key, trigger

TABLES = (
    "deliveries",
    "alerts",
    "incidents",
    "timeline_entries",
    "audit_entries",
    "jobs",
    "source_secrets",
    "replay_keys",
)


async def everything(mover: Mover) -> str:
    """All that is stored of the tenant, as text."""
    found = [str(row) for table in TABLES for row in await mover.rows(f"select * from {table}")]
    bodies = await mover.rows("select convert_from(body, 'utf8') as body from deliveries")
    return "\n".join([*found, *(row["body"] for row in bodies)])


def escaped(key: str) -> bytes:
    """A JSON string of the key, its first letter written as an escape."""
    return f'"\\u{ord(key[0]):04x}{key[1:]}"'.encode()


SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "plain": orjson.dumps,
    "escaped": escaped,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_routing_key_is_neither_stored_nor_logged(world: World, spelling: str) -> None:
    mover = await world.mover("pagerduty_events")
    event = orjson.dumps({**trigger(dedup_key="k"), "routing_key": "KEY", "copy": "KEY"})
    body = event.replace(b'"KEY"', SPELLINGS[spelling](mover.key))
    with structlog.testing.capture_logs() as logged:
        sent = {"x-routing-key": mover.key, "authorization": f"Token token={mover.key}"}
        assert (await world.api.post("/v2/enqueue", content=body, headers=sent)).status_code == 202
        await mover.work()
    assert await mover.states() == [("Disk full on db-1", "open")]
    assert mover.key not in await everything(mover)
    assert mover.key not in str(logged)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Every span of this test, kept in memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing._tracing.use(provider)
    yield exporter
    tracing._tracing.use(None)


@pytest.mark.parametrize("kind", ["pagerduty_events", "opsgenie_api", "oncall"])
async def test_a_key_is_in_no_span(world: World, spans: InMemorySpanExporter, kind: str) -> None:
    mover = await world.mover(kind)
    if kind == "pagerduty_events":
        await mover.event(**trigger())
    elif kind == "opsgenie_api":
        await mover.genie("POST", "/v2/alerts", {"message": "m"})
    else:
        await world.api.post(f"/integrations/v1/formatted_webhook/{mover.key}/", json={"title": "t"})
    await mover.work()
    finished = spans.get_finished_spans()
    assert {"ingest.receive", "ingest.parse"} <= {span.name for span in finished}
    assert all(mover.key not in span.to_json() for span in finished)


async def test_the_door_behind_the_sources_own_address_keeps_no_key_either(world: World) -> None:
    mover = await world.mover("pagerduty_events")
    headers = {"Authorization": f"Bearer {mover.key}", "X-Routing-Key": mover.key}
    for door, status in (("/v2/enqueue", 202), ("", 202)):
        event = {**trigger(dedup_key=f"k{door}")} | ({"routing_key": mover.key} if door else {})
        answer = await world.api.post(f"{mover.source.url_path}{door}", json=event, headers=headers)
        assert answer.status_code == status
    await mover.work()
    assert len(await mover.states()) == 2
    assert mover.key not in await everything(mover)


async def test_an_api_key_and_a_token_in_the_path_are_neither_stored_nor_logged(world: World) -> None:
    genie, oncall = await world.mover("opsgenie_api"), await world.mover("oncall")
    with structlog.testing.capture_logs() as logged:
        await genie.genie("POST", "/v2/alerts", {"message": "m"})
        await world.api.post(f"/integrations/v1/formatted_webhook/{oncall.key}/", json={"title": "t"})
        await genie.work()
    assert len(await genie.states()) == 2
    for key in (genie.key, oncall.key):
        assert key not in await everything(genie)
        assert key not in str(logged)


async def test_a_sender_does_not_speak_for_the_door(world: World) -> None:
    """The door's own headers say which alert is meant; a sender's of the same names, however many, do not."""
    genie = await world.mover("opsgenie_api")
    pairs = [("Authorization", f"GenieKey {genie.key}")]
    pairs += [
        (name, value) for _ in range(40) for name, value in (("X-Tocsin-Action", "close"), ("x-tocsin-alias", "b"))
    ]
    pairs += [(f"x-filler-{number}", "v") for number in range(80)]
    for alias in ("a", "b"):
        await genie.genie("POST", "/v2/alerts", {"message": alias, "alias": alias})
    path = "/v2/alerts/a/acknowledge?identifierType=alias"
    assert (await world.api.post(path, content=b"{}", headers=pairs)).status_code == 202
    await genie.work()
    assert await genie.states() == [("a", "acknowledged"), ("b", "open")]


async def test_a_key_of_one_kind_opens_no_door_of_another(world: World) -> None:
    events = await world.mover("pagerduty_events")
    genie = await world.mover("opsgenie_api")
    oncall = await world.mover("oncall")
    assert (await world.api.post("/v2/alerts", json={"message": "m"}, headers=_genie(events.key))).status_code == 401
    answer = await world.api.post("/v2/enqueue", json={**trigger(), "routing_key": oncall.key[:32]})
    assert answer.json()["message"] == "Invalid routing key"
    bearer = {"Authorization": f"Bearer {events.key}"}
    for door in ("v2/alerts", "api/v2/alerts"):
        answer = await world.api.post(f"{events.source.url_path}/{door}", json={"message": "m"}, headers=bearer)
        assert answer.status_code == 401
    assert (await world.api.get(f"/v2/alerts/{genie.key}", headers=_genie(genie.key))).status_code == 404
    assert await events.rows("select id from deliveries") == []


def _genie(key: str) -> dict[str, str]:
    return {"Authorization": f"GenieKey {key}"}


class Work:
    """What was digested under a key since the last look, as numbers of bytes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def taken(self) -> list[int]:
        taken, self.sizes = self.sizes, []
        return taken


async def test_a_key_that_never_was_costs_the_work_of_one_that_ended(
    world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mover = await world.mover("pagerduty_events")
    async with tenant_session(world.database, world.tenant_id) as session:
        await rotate_secret(
            session,
            keyring=world.resources.get(KeyRing),
            source_id=mover.source.source.id,
            actor=ACTOR,
            now=clock.now(),
            overlap=timedelta(hours=1),
        )
    clock.advance(timedelta(hours=2))
    work, real = Work(), hmac.digest

    def digest(key: bytes, message: bytes, algorithm: Any) -> bytes:
        work.sizes.append(len(message))
        return real(key, message, algorithm)

    monkeypatch.setattr(hmac, "digest", digest)
    answers, sizes = [], []
    for key in (mover.key, new_routing_key()):
        answers.append(await world.api.post("/v2/enqueue", json={**trigger(), "routing_key": key}))
        sizes.append(work.taken())
    assert {(answer.status_code, answer.content) for answer in answers} == {(400, answers[0].content)}
    # The stranger's draws a source of nobody's and that one's cap besides: microseconds of a request that asks the database.
    assert len(sizes[1]) - len(sizes[0]) <= 3
    assert sum(sizes[1]) - sum(sizes[0]) < 100


@pytest.mark.parametrize("path", ["/v2/enqueue", "/v2/alerts", "/integrations/v1/formatted_webhook/{key}/"])
async def test_a_body_without_end_is_cut_off(world: World, path: str) -> None:
    kind = "pagerduty_events" if "enqueue" in path else "opsgenie_api" if "alerts" in path else "oncall"
    mover = await world.mover(kind)
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 65_536
            yield b"x" * 65_536

    answer = await world.api.post(path.format(key=mover.key), content=flood(), headers=_genie(mover.key))
    assert answer.status_code == 413
    cap = PAGERDUTY_MAX_BYTES if kind == "pagerduty_events" else 10_485_760  # of bearer tokens
    assert sent <= cap + DRAINED_BYTES + 3 * 65_536


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"a":' * 20_000, b'{"routing_key":"' + b"a" * 32 + b'","a":' + b"[" * 900]
)
async def test_a_body_nested_without_end_is_no_event(world: World, body: bytes) -> None:
    assert (await world.api.post("/v2/enqueue", content=body)).status_code == 400
    genie = await world.mover("opsgenie_api")
    answer = await world.api.post("/v2/alerts", content=body, headers=_genie(genie.key))
    assert answer.status_code == 400


async def test_an_event_that_cannot_be_written_without_its_key_is_not_kept(world: World) -> None:
    """Deep enough to be read and too deep to be written again, with the key in escapes."""
    mover = await world.mover("pagerduty_events")
    deep = b"[" * 800 + b"]" * 800
    body = b'{"routing_key":%b,"event_action":"resolve","dedup_key":"k","x":%b}' % (escaped(mover.key), deep)
    answer = await world.api.post("/v2/enqueue", content=body)
    assert answer.status_code == 400
    assert await mover.rows("select id from deliveries") == []


async def test_the_same_keys_of_two_tenants_alerts_stay_apart(world: World) -> None:
    mine = await world.mover("pagerduty_events")
    theirs = await world.mover("pagerduty_events", tenant_id=await make_tenant(world.database))
    for mover in (mine, theirs):
        await mover.event(**trigger(dedup_key="k"))
    await mine.event(event_action="resolve", dedup_key="k")
    await mine.work()
    assert (await mine.states(), await theirs.states()) == (
        [("Disk full on db-1", "resolved")],
        [("Disk full on db-1", "open")],
    )


async def test_an_overloaded_process_asks_to_be_tried_again_in_each_apis_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, genie = await world.mover("pagerduty_events"), await world.mover("opsgenie_api")

    async def full(*args: Any, **kwargs: Any) -> None:
        raise Unavailable("full", retry_after_s=1)

    monkeypatch.setattr(DeliveryDoor, "store", full)
    answers = [await events.event(**trigger()), await genie.genie("POST", "/v2/alerts", {"message": "m"})]
    assert [(answer.status_code, "retry-after" in answer.headers) for answer in answers] == [(503, True)] * 2
    assert set(answers[0].json()) == {"status", "message", "errors"}
    assert set(answers[1].json()) == {"message", "took", "requestId"}


async def test_what_strangers_have_us_hold_while_the_database_hangs_is_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:  # I8
    settings = world.resources.get(Settings)
    narrow = settings.ingest.model_copy(update={"max_inflight_bytes": 1_048_576})
    world.resources.provide(Settings, settings.model_copy(update={"ingest": narrow}))
    intake = IngestApp(world.resources)
    dropin = DropInApp(world.resources, intake.answer)
    answers = asyncio.Event()

    async def hangs(lookup: bytes) -> str | None:
        await answers.wait()
        return None

    monkeypatch.setattr(dropin._keys.memory, "_look", hangs)
    event = {"routing_key": "a" * 32, "event_action": "trigger", "x": "x" * 400_000}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=dropin), base_url="http://tocsin.test") as api:
        waiting = [asyncio.create_task(api.post("/v2/enqueue", json=event)) for _ in range(3)]
        await wait_until(lambda: dropin._held_bytes > 1_048_576)
        assert (await api.post("/v2/enqueue", json=event)).status_code == 503
        answers.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {400}
    assert dropin._held_bytes == 0
    await intake.aclose()
