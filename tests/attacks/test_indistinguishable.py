"""A29: whether a source exists shows in nothing that a stranger can see, and in no work that he could time.

Work is counted, not timed: keyed digests and the bytes that they cover. A clock on a shared machine would prove nothing.
"""

from __future__ import annotations

import base64
import hmac
import string
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest

from app.ingest.known_sources import NobodysCaps
from app.ingest.sources import all_sources
from app.net import signing
from app.net.signing import (
    Kind,
    Refused,
    SignedRequest,
    curve,
    dummy_verify,
    generate_secret,
    get_profile,
    load_profile,
    shipped_profiles,
    sign,
    verify,
)
from app.net.signing.checks import CURVE_TRIES, MAX_ACTIVE
from app.settings.ingest import IngestSettings
from tests.attacks.target import NOBODYS, Target
from tests.factories.ingest import alert_body
from tests.net.signing.senders import BODY, NOW, SYMMETRIC, accepted, hex_mac, secret, some_secret

JSON = ("content-type", "application/json")
SLUGS = sorted(shipped_profiles())


class Work:
    """What was digested under a key, as numbers of bytes, and what was computed on the curve, since the last look."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.on_curve: list[int] = []

    def taken(self) -> tuple[list[int], list[int]]:
        taken = self.sizes, self.on_curve
        self.sizes, self.on_curve = [], []
        return taken


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    counted, real = Work(), hmac.digest

    def digest(key: bytes, message: bytes, algorithm: Any) -> bytes:
        counted.sizes.append(len(message))
        return real(key, message, algorithm)

    monkeypatch.setattr(hmac, "digest", digest)
    really_holds = curve.holds

    def holds(key: bytes, signature: bytes, message: bytes) -> bool:
        assert curve.is_signature(signature), "given up before any work"
        counted.on_curve.append(len(message))
        return really_holds(key, signature, message)

    monkeypatch.setattr(curve, "holds", holds)
    return counted


def read_again(slug: str) -> signing.CompiledProfile:
    """The profile, compiled while the work is counted."""
    return load_profile(files(signing).joinpath("profiles", f"{slug}.yaml").read_text(encoding="utf-8"))


def right_headers(profile: signing.CompiledProfile, text: str) -> list[tuple[bytes, bytes]]:
    """What the rightful sender sends: signed here, or as a vector has it where the key is not ours."""
    if profile.kind in SYMMETRIC:
        pairs = sign(profile, text, BODY, NOW, "msg_1", path="/in/abc")
    else:
        pairs = list(accepted(profile).headers)
    return [(name.encode(), value.encode()) for name, value in pairs]


def requests(profile: signing.CompiledProfile, text: str) -> dict[str, SignedRequest]:
    """One request for each way to be refused."""
    right = right_headers(profile, text)
    bent = [(name, value[:-1] + (b"1" if value[-1:] != b"1" else b"2")) for name, value in right]
    return {
        "nothing": SignedRequest("POST", "/in/abc", b"", [], BODY),
        "other-body": SignedRequest("POST", "/in/abc", b"", right, BODY[:-1] + b" "),
        "bent": SignedRequest("POST", "/in/abc", b"token=wrong", bent, BODY),
        "twice": SignedRequest("POST", "/in/abc", b"token=a&token=b", [*right, *right], BODY),
        "junk": SignedRequest("POST", "/in/abc", b"token=", [(name, b"\xff\x00") for name, _ in right], BODY),
        "many": SignedRequest("POST", "/in/abc", b"", [(n, many(profile, v)) for n, v in right], BODY),
    }


def many(profile: signing.CompiledProfile, value: bytes) -> bytes:
    """Three well-formed wrong signatures of Ed25519, where there would be one; nothing else changes."""
    wrong = b"v1a," + base64.b64encode(b"w" * 63 + b"\x00")
    return b" ".join([wrong] * 3) if profile.kind is Kind.ED25519 and value.startswith(b"v1a,") else value


@pytest.mark.attack("A29")
@pytest.mark.parametrize("held", [0, 1, 2, MAX_ACTIVE])
@pytest.mark.parametrize("slug", SLUGS)
def test_a_refusal_costs_what_a_strangers_costs(slug: str, held: int, work: Work) -> None:
    profile = read_again(slug)
    text = some_secret(profile)
    # A source that takes everything refuses only without its tenant's consent.
    most = profile.most_secrets if profile.kind is not Kind.NONE else 0
    secrets = [secret(profile, some_secret(profile)) for _ in range(min(held, most))]
    for name, request in requests(profile, text).items():
        work.taken()
        dummy_verify(request, on_curve=profile.kind is Kind.ED25519)
        strangers, strangers_on_curve = work.taken()
        assert isinstance(verify(profile, request, secrets, NOW), Refused), name
        ours, ours_on_curve = work.taken()
        assert len(ours) == len(strangers), f"{name}: {len(ours)} digests, a stranger's request costs {len(strangers)}"
        # A signing profile covers an id and a time besides the body: some tens of bytes, whatever the body's size.
        assert all(abs(one - other) < 100 for one, other in zip(ours, strangers, strict=True)), name
        assert len(ours_on_curve) == len(strangers_on_curve), name
        assert (profile.kind is Kind.ED25519) == bool(ours_on_curve), name


@pytest.mark.attack("A29")
async def test_ids_without_a_source_cost_what_either_kind_of_source_costs(target: Target, work: Work) -> None:
    """Some cost what an Ed25519 source's refusal does, always the same ones; with or without a door behind the id."""
    costs: dict[str, int] = {}
    for letter in string.ascii_lowercase + string.digits:
        path = f"/in/{letter * 26}"
        assert (await target.post(BODY, [JSON], path=path)).status_code == 401
        costs[path] = len(work.taken()[1])
        assert (await target.post(BODY, [JSON], path=path)).status_code == 401
        assert len(work.taken()[1]) == costs[path], "the same id, another price"
    assert set(costs.values()) == {0, CURVE_TRIES}
    for profile, price in (("standard_webhooks_ed25519", CURVE_TRIES), ("github", 0)):
        source = await target.source_of(profile=profile, secret=some_secret(get_profile(profile)))
        for path in (source.source.url_path, source.source.url_path + "/nowhere"):
            work.taken()
            assert (await target.post(BODY, [JSON], path=path)).status_code == 401
            assert len(work.taken()[1]) == price, "a door that is not there must not cost something else"


@pytest.mark.attack("A29")
@pytest.mark.parametrize("slug", ["standard_webhooks", "slack", "stripe", "zendesk"])
def test_a_stale_request_costs_the_same(slug: str, work: Work) -> None:
    profile = read_again(slug)
    text = generate_secret(profile)
    request = requests(profile, text)["nothing"]._replace(
        headers=[(n.encode(), v.encode()) for n, v in sign(profile, text, BODY, NOW, "msg_1")]
    )
    later = NOW + timedelta(seconds=301)
    work.taken()
    assert isinstance(verify(profile, request, [secret(profile, text)], later), Refused)
    ours = work.taken()
    dummy_verify(request)
    assert len(ours) == len(work.taken())


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
