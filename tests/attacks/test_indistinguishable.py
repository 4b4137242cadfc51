"""A29: whether a source exists shows in nothing that a stranger can see; what he could time is in test_refusal_costs.py."""

from __future__ import annotations

from typing import Any

import pytest

from app.ingest.known_sources import NobodysCaps
from app.ingest.sources import all_sources
from app.net.signing import shipped_profiles
from app.settings.ingest import IngestSettings
from tests.attacks.target import NOBODYS, Target
from tests.factories.ingest import alert_body
from tests.net.signing.senders import BODY, hex_mac

JSON = ("content-type", "application/json")


@pytest.mark.attack("A29")
@pytest.mark.parametrize("profile", ["standard_webhooks", "github", "slack", "bearer", "basic", "url_secret", "gitlab"])
async def test_status_body_and_headers_are_the_strangers(target: Target, profile: str) -> None:
    source = await target.source_of(profile=profile)
    for headers in (
        [JSON],
        [("content-type", "text/xml")],
        [JSON, ("content-encoding", "gzip")],
        [JSON, ("authorization", "Bearer x"), ("x-hub-signature-256", "sha256=" + hex_mac(BODY))],
        [JSON, ("origin", "https://evil.test"), ("cookie", "a=b"), ("x-request-id", "mine")],
    ):
        path = source.url_path.partition("?")[0]
        await target.refuses(b"\xff\x00not json", headers, path=path)


@pytest.mark.attack("A29")
async def test_a_paused_or_deleted_source_says_so_to_its_sender_only(target: Target) -> None:
    body = alert_body()
    for state, status in (("paused", 503), ("deleted", 410)):
        await target.change("update sources set state = :state", state=state)
        await target.refuses(body, [JSON])
        assert (await target.send(body)).status_code == status


@pytest.mark.attack("A29")
async def test_a_source_over_its_limit_says_so_to_its_sender_only(target: Target) -> None:
    """Of bodies up to 16 KiB, which are read and proved first; what larger ones are told is in docs/security.md."""
    known = await target.application._ingest.sources.find(target.source.url_path.rpartition("/")[2])
    assert known is not None
    target.application._ingest._admission.took(known, 10**15)
    body = alert_body()
    assert (await target.send(body)).status_code == 503
    for refused in (b"", body, b"x" * 16_384):
        await target.refuses(refused, [JSON])
        await target.refuses(refused, target.signed(refused + b" "))
    assert (await target.send(body)).status_code == 503


async def answer_to(target: Target, path: str, size_bytes: int) -> tuple[int, int]:
    """The status of a large body without a signature, and how much of it was read."""
    read, statuses = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal read
        part = min(262_144, size_bytes - read)
        read += part
        return {"type": "http.request", "body": b"x" * part, "more_body": read < size_bytes}

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    await target.application(scope, receive, send)
    return statuses[0], read


@pytest.mark.attack("A29")
@pytest.mark.parametrize("profile", ["standard_webhooks", "bearer", "github"])
async def test_the_size_that_is_read_tells_nothing(target: Target, profile: str) -> None:
    """For each cap that a source can have there are ids without a source that have the same, and keep it."""
    source = await target.source_of(profile=profile)
    ours = await answer_to(target, source.url_path, 30_000_000)
    alike = [f"/in/{letter * 26}" for letter in "abcdefghijklmnopqrst"]
    strangers = [await answer_to(target, path, 30_000_000) for path in alike]
    assert ours in strangers
    assert [await answer_to(target, path, 30_000_000) for path in alike[:3]] == strangers[:3]


@pytest.mark.attack("A29")
def test_an_id_without_a_source_has_the_same_cap_in_every_process() -> None:
    one, same, other = (NobodysCaps(1_048_576, key=key) for key in ("pepper", "pepper", "salt"))
    ids = [f"{number:026d}" for number in range(200)]
    assert [one.of(name) for name in ids] == [same.of(name) for name in ids]
    assert [one.of(name) for name in ids] != [other.of(name) for name in ids], "anybody could compute it"
    of_kinds = {kind.max_body_bytes for kind in all_sources().values() if kind.max_body_bytes is not None}
    # A kind's cap only ever raises the profile's, and no profile's is below the smallest here.
    in_use = {profile.limits.max_body_bytes for profile in shipped_profiles().values()} | of_kinds
    in_use = {cap for cap in in_use if cap >= 1_048_576}
    assert {one.of(name) for name in ids} == in_use


@pytest.mark.attack("A29")
def test_known_and_unknown_ids_are_remembered_equally_long() -> None:
    """Otherwise the slower answers, those that look into the database, would come in two rhythms."""
    settings = IngestSettings()
    assert settings.source_cache_ttl_s == settings.unknown_cache_ttl_s


@pytest.mark.attack("A29")
async def test_an_unknown_and_a_known_id_cost_one_look_up_each(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    sources = target.application._ingest.sources
    real = sources.memory._look

    async def look(public_id: str) -> Any:
        looked.append(public_id)
        return await real(public_id)

    monkeypatch.setattr(sources.memory, "_look", look)
    for path in (target.source.url_path, NOBODYS):
        assert (await target.post(b"{}", [JSON], path=path)).status_code == 401
    assert len(looked) == 2
