"""A15 to A26: old requests, odd clocks, replays, and whose secret it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.tenancy import tenant_session
from app.ingest.service import CreatedSource, rotate_secret
from app.net.keyring import KeyRing
from app.settings import Settings
from tests.attacks.target import Target
from tests.factories.ingest import ACTOR, alert_body, committed_source
from tests.fixtures.wait import wait_until
from tests.net.signing.senders import TEXT, base64_mac, hex_mac

BODY = alert_body(title="Disk full")
JSON = ("content-type", "application/json")


def at(target: Target) -> int:
    return int(target.clock.now().timestamp())


def slack(stamp: str | bytes, body: bytes = BODY) -> list[tuple[str, str | bytes]]:
    raw = stamp if isinstance(stamp, bytes) else stamp.encode()
    signature = hex_mac(b"v0:%b:%b" % (raw, body))
    return [JSON, ("x-slack-request-timestamp", stamp), ("x-slack-signature", "v0=" + signature)]


@pytest.mark.attack("A15")
async def test_signed_bytes_that_are_no_text(target: Target) -> None:
    answer = await target.send(b'{"title":"\xff\xfe"}')
    assert answer.status_code == 400
    [kept] = await target.deliveries()
    assert (kept["state"], kept["reason"], str(kept["id"])) == (
        "rejected",
        "body.not_utf8",
        answer.json()["receipt_id"],
    )
    assert await target.rows("select * from jobs") == []


@pytest.mark.attack("A16")
@pytest.mark.parametrize(
    ("message_id", "stamp"), [("a.1", "{at}"), ("a", "1.{at}"), ("a.1.{at}", ""), ("", "a.1.{at}"), ("a_1", "{at}")]
)
async def test_moving_the_boundary_between_id_and_time(target: Target, message_id: str, stamp: str) -> None:
    """Each spells the bytes ``a.1.{present}.{body}``, so only a boundary is wrong; the last has none to move, and is taken."""
    source = await target.source_of(secret="whsec_" + "QUFB" * 11)
    now = at(target)
    signed = f"{'a_1' if message_id == 'a_1' else 'a.1'}.{now}.".encode() + BODY
    headers = [
        JSON,
        ("webhook-id", message_id.format(at=now)),
        ("webhook-timestamp", stamp.format(at=now)),
        ("webhook-signature", "v1," + base64_mac(signed, b"AAA" * 11)),
    ]
    if message_id == "a_1":
        assert (await target.post(BODY, headers, source=source)).status_code == 202
    else:
        await target.refuses(BODY, headers, source=source)


@pytest.mark.attack("A16")
async def test_moving_the_boundary_between_time_and_body(target: Target) -> None:
    source = await target.source_of(profile="zendesk", secret=TEXT)
    stamp = target.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = [
        JSON,
        ("x-zendesk-webhook-signature", base64_mac(stamp.encode() + BODY)),
        ("x-zendesk-webhook-signature-timestamp", stamp[:-1]),
    ]
    await target.refuses(b"Z" + BODY, headers, source=source)


@pytest.mark.attack("A17")
@pytest.mark.parametrize(
    ("age_s", "accepted"), [(-301, False), (-299, True), (299, True), (301, False), (10**6, False)]
)
async def test_a_request_from_another_time(target: Target, age_s: int, accepted: bool) -> None:
    headers = target.signed(BODY)
    target.clock.advance(timedelta(seconds=age_s))
    if accepted:
        assert (await target.post(BODY, headers)).status_code == 202
    else:
        await target.refuses(BODY, headers)


ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
# The present, as Python's own readers of numbers would take it too.
ODD: dict[str, Callable[[str], str]] = {
    "nan": lambda _: "nan",
    "inf": lambda _: "inf",
    "exponent": lambda now: f"{int(now) / 1e9!r}e9",
    "negative": lambda now: f"-{now}",
    "endless": lambda now: now + "0" * 30,
    "space": lambda now: f" {now}",
    "space-behind": lambda now: f"{now} ",
    "underscore": lambda now: f"{now[:4]}_{now[4:]}",
    "arabic": lambda now: now.translate(ARABIC),
    "fraction": lambda now: f"{now}.0",
    "plus": lambda now: f"+{now}",
    "zero-first": lambda now: f"0{now}",
    "zeros-first": lambda now: now.rjust(13, "0"),
    "hex": lambda now: hex(int(now)),
    "empty": lambda _: "",
    "nul": lambda now: f"{now}\x00",
}


def test_most_odd_spellings_are_the_present_to_python() -> None:
    """Or a clock that is far off would refuse them for their age, and nothing would be shown."""
    now = "1893931200"
    of_age = {
        kind for kind, spell in ODD.items() if kind not in ("hex", "empty", "nul") and float(spell(now)) == int(now)
    }
    assert set(ODD) - of_age == {"nan", "inf", "negative", "endless", "hex", "empty", "nul"}
    assert int(ODD["hex"](now), 0) == int(now)


@pytest.mark.attack("A18")
@pytest.mark.parametrize("kind", sorted(ODD))
async def test_times_that_python_would_read(target: Target, kind: str) -> None:
    """Each is signed with the right key: only its spelling is wrong."""
    source = await target.source_of(profile="slack", secret=TEXT)
    now = str(at(target))
    await target.refuses(BODY, slack(ODD[kind](now).encode()), source=source)
    assert (await target.post(BODY, slack(now), source=source)).status_code < 300


@pytest.mark.attack("A19")
async def test_milliseconds_for_seconds_and_seconds_for_milliseconds(target: Target) -> None:
    seconds = await target.source_of(profile="slack", secret=TEXT)
    await target.refuses(BODY, slack(f"{at(target)}000"), source=seconds)
    millis = await target.source_of(profile="linear", secret=TEXT)
    for stamp, accepted in ((at(target) * 1000, True), (at(target), False)):
        body = b'{"webhookTimestamp":%d}' % stamp
        headers = [JSON, ("linear-signature", hex_mac(body))]
        if accepted:
            assert (await target.post(body, headers, source=millis)).status_code == 200
        else:
            await target.refuses(body, headers, source=millis)


@pytest.mark.attack("A20")
async def test_a_fresh_time_that_nobody_signed_on_an_old_body(target: Target) -> None:
    source = await target.source_of(profile="sentry", secret=TEXT)

    def sentry(stamp: int) -> list[tuple[str, str | bytes]]:
        return [
            JSON,
            ("sentry-hook-signature", hex_mac(BODY)),
            ("sentry-hook-timestamp", str(stamp)),
            ("request-id", f"r{stamp}"),
        ]

    first = (await target.post(BODY, sentry(at(target) - 86_400), source=source)).json()
    again = await target.post(BODY, sentry(at(target)), source=source)
    assert (again.status_code, again.json()) == (202, {**first, "duplicate": True})


@pytest.mark.attack("A21")
async def test_one_request_a_hundred_times_at_once(target: Target) -> None:
    headers = target.signed(BODY)
    answers = await asyncio.gather(*(target.post(BODY, headers) for _ in range(100)), target.post(BODY, headers))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["receipt_id"] for answer in answers}) == 1
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    assert len(await target.deliveries()) == 1


@pytest.mark.attack("A22")
async def test_one_signed_id_for_two_bodies(target: Target) -> None:
    one, two = alert_body(title="one"), alert_body(title="two")
    first = (await target.send(one, delivery_id="msg_x")).json()
    second = (await target.send(two, delivery_id="msg_x")).json()
    assert second["receipt_id"] != first["receipt_id"]
    kept = await target.deliveries()
    assert [row["body"] for row in kept] == [one, two]
    assert [str(row["conflicts_with"]) for row in kept] == ["None", first["receipt_id"]]


@pytest.mark.attack("A23")
async def test_a_new_id_that_nobody_signed_on_an_old_body(target: Target) -> None:
    source = await target.source_of(profile="github", secret=TEXT)

    def github(delivery: str) -> list[tuple[str, str | bytes]]:
        return [JSON, ("x-hub-signature-256", "sha256=" + hex_mac(BODY)), ("x-github-delivery", delivery)]

    first = (await target.post(BODY, github("one"), source=source)).json()
    again = (await target.post(BODY, github("two"), source=source)).json()
    assert again == {**first, "duplicate": True}
    assert len(await target.deliveries()) == 1


@pytest.mark.attack("A24")
async def test_a_replay_after_redis_was_emptied(target: Target) -> None:
    headers = target.signed(BODY)
    first = (await target.post(BODY, headers)).json()
    redis, prefix = target.resources.get(Redis), target.resources.get(Settings).redis.key_prefix
    for kept in (f"{prefix}:*", "*ingest*", "*replay*"):
        async for key in redis.scan_iter(match=kept):
            await redis.delete(key)
    assert [key async for key in redis.scan_iter(match=f"{prefix}:*")] == []
    assert (await target.post(BODY, headers)).json() == {**first, "duplicate": True}
    assert len(await target.deliveries()) == 1


@pytest.mark.attack("A25")
async def test_a_request_of_another_source_or_tenant(
    target: Target, resources: Resources, other_tenant_id: TenantId
) -> None:
    sibling = await target.source_of()
    foreign = await committed_source(resources, other_tenant_id)
    await target.refuses(BODY, target.signed(BODY, source=sibling))
    await target.refuses(BODY, target.signed(BODY, source=foreign))
    await target.refuses(BODY, target.signed(BODY), source=foreign, writes_down=False)
    assert (await target.send(BODY, source=sibling)).status_code == 202


async def rotated(target: Target, overlap: timedelta) -> CreatedSource:
    async with tenant_session(target.database, target.tenant_id) as session:
        return await rotate_secret(
            session,
            keyring=target.resources.get(KeyRing),
            source_id=target.source.source.id,
            actor=ACTOR,
            now=target.clock.now(),
            overlap=overlap,
        )


@pytest.mark.attack("A26")
async def test_the_previous_secret_inside_and_after_its_overlap(target: Target) -> None:
    fresh = await rotated(target, timedelta(minutes=10))
    assert (await target.send(delivery_id="inside")).status_code == 202
    assert (await target.send(source=fresh, delivery_id="fresh")).status_code == 202
    target.clock.advance(timedelta(minutes=10))
    await target.refuses(BODY, target.signed(BODY))
    assert (await target.send(BODY, source=fresh, delivery_id="later")).status_code == 202


@pytest.mark.attack("A26")
async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(target: Target) -> None:
    await rotated(target, timedelta(0))

    async def refused() -> bool:
        return (await target.send()).status_code == 401

    await wait_until(refused, timeout_s=2, what="the old secret opens nothing")
