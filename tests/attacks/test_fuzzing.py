"""Every parser that a stranger's bytes reach, and the verifier in front of them: no bytes give an unhandled error."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ingest.bodies import Arriving, ClientGone, Crowded, TooLarge, gunzip, read_body
from app.ingest.contract import ParseError, load_json
from app.ingest.sources import all_sources
from app.ingest.sources.generic import GenericConfig
from app.ingest.sources.generic.expressions import Evaluator, InvalidExpression, compile_expression
from app.net import signing
from app.net.signing import (
    Kind,
    Refused,
    Secret,
    SignedRequest,
    Verified,
    generate_secret,
    get_profile,
    secret_query,
    shipped_profiles,
    sign,
    verify,
)
from app.net.signing.format import KeyValueFormat, ListFormat, PrefixFormat, SignatureFormat, WholeFormat
from app.net.signing.signatures import compile_splitter
from tests.net.signing.senders import NOW, OURS, secret

QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5)
)
# Names that the parsers look for, so that values of any shape reach every branch.
NAMES = st.sampled_from(
    [
        "alerts",
        "status",
        "labels",
        "annotations",
        "startsAt",
        "endsAt",
        "generatorURL",
        "fingerprint",
        "version",
        "groupKey",
        "groupLabels",
        "externalURL",
        "truncatedAlerts",
        "request",
        "id",
        "subject",
        "description",
        "udf_fields",
        "created_time",
        "requester",
        "priority",
        "event",
        "title",
        "severity",
        "timestamp",
        "url",
        "dedup_key",
        "tags",
        "name",
        "value",
        "display_value",
        "email_id",
        "content",
    ]
)
SHAPED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=8), max_leaves=30
)
SIGNING = OURS


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.attack("B04", "B07", "B08", "B09", "B22", "B23", "B24")
@pytest.mark.parametrize("slug", sorted(all_sources()))
@given(
    body=st.binary(max_size=300) | JSON.map(dumped) | SHAPED.map(dumped) | SHAPED.map(lambda v: dumped({"alerts": [v]}))
)
@QUICK
def test_any_bytes_give_alerts_or_a_reason(slug: str, body: bytes) -> None:
    source = all_sources()[slug]
    try:
        events, reason = source.parse(body, {}, source.config_model()), ""
    except ParseError as error:
        events, reason = [], error.code
    assert re.fullmatch(r"((body|mapping|event|alert)\.[a-z_]+)?", reason), reason
    for event in events:
        text = [event.title, event.description, event.dedup_key, *event.labels, *event.labels.values(), *event.warnings]
        assert "\x00" not in "".join(text)
        "".join(text).encode()
        assert all(link.url.startswith(("http://", "https://")) for link in event.links)
        for at in (event.event_time, event.starts_at, event.ends_at):
            assert at is None or (at.tzinfo is not None and 1990 <= at.year <= 2200)


@pytest.mark.attack("B16")
@given(expression=st.text("@[]*.?&|(){}:,'`\"abcx0 !<>=-", max_size=40), document=SHAPED)
@QUICK
def test_any_mapping_is_refused_or_stopped(expression: str, document: Any) -> None:
    try:
        compile_expression(expression)
    except InvalidExpression:
        return
    config = GenericConfig.model_construct(**{**GenericConfig().__dict__, "title": expression or "title"})
    with suppress(ParseError):
        all_sources()["generic"].parse(dumped({"a": document}), {}, config)
        Evaluator().find(expression, document)


@pytest.mark.attack("B01", "B09")
@given(
    chunks=st.lists(st.binary(max_size=40), min_size=1, max_size=8),
    cap=st.integers(0, 120),
    room=st.integers(0, 200),
    hangs_up=st.booleans(),
)
@QUICK
async def test_any_way_a_body_arrives_it_is_whole_or_refused(
    chunks: list[bytes], cap: int, room: int, hangs_up: bool
) -> None:
    arriving, left = Arriving(room), list(chunks)

    async def receive() -> dict[str, Any]:
        if not left:
            return {"type": "http.disconnect"}
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left) or hangs_up}

    body: bytes | None = None
    with suppress(TooLarge, Crowded, ClientGone):
        body = await read_body(receive, cap_bytes=cap, timeout_s=5, arriving=arriving)
    if body is None:
        assert hangs_up or len(b"".join(chunks)) > min(cap, room)
    else:
        assert body == b"".join(chunks)
        assert len(body) <= cap
    assert arriving._held_bytes == 0


@pytest.mark.attack("B03", "B09")
@given(st.binary(max_size=200))
@QUICK
def test_any_bytes_inflate_within_the_cap_or_not_at_all(raw: bytes) -> None:
    with suppress(ValueError, TooLarge):
        assert len(gunzip(raw, cap_bytes=100)) <= 100
    with suppress(ParseError):
        load_json(raw)


FORMATS: list[SignatureFormat] = [
    WholeFormat(type="whole"),
    PrefixFormat(type="prefix", prefix="sha256="),
    ListFormat(type="list", separator=" ", item="{version},{signature}", version="v1"),
    ListFormat(type="list", separator=",", item="{version}={signature}", version="v1"),
    KeyValueFormat(type="kv", separator=",", timestamp_key="t", signature_key="v1"),
]


@pytest.mark.attack("A02", "A05", "A08")
@pytest.mark.parametrize("index", range(len(FORMATS)))
@given(value=st.binary(max_size=200) | st.text("v12=, t;sha56x", max_size=80).map(str.encode))
@QUICK
def test_any_signature_header_is_split_or_refused(index: int, value: bytes) -> None:
    found = compile_splitter(FORMATS[index])(value)
    if found is not None:
        signatures, _ = found
        assert 1 <= len(signatures) <= 10
        assert all(signature in value for signature in signatures)


def signed(slug: str, body: bytes) -> tuple[signing.CompiledProfile, SignedRequest, Secret]:
    """A request that verifies, of any shipped kind."""
    profile = get_profile(slug)
    text = generate_secret(profile)
    pairs = [(n.encode(), v.encode()) for n, v in sign(profile, text, body, NOW, "msg_1", path="/in/abc")]
    query = secret_query(profile, text).encode()
    return profile, SignedRequest("POST", "/in/abc", query, pairs, body), secret(profile, text)


def body_of(slug: str, filler: bytes) -> bytes:
    stamp = int(NOW.timestamp() * 1000)
    return dumped({"id": "evt_1", "webhookTimestamp": stamp, "text": filler.hex()})


@pytest.mark.attack("A03", "A04", "A14")
@pytest.mark.parametrize("slug", SIGNING)
@given(filler=st.binary(max_size=20), data=st.data())
@QUICK
def test_of_an_accepted_request_every_signed_byte_counts(slug: str, filler: bytes, data: st.DataObject) -> None:
    """Each part that the profile covers, one byte flipped: refused. A token's kind covers its credential."""
    body = body_of(slug, filler)
    profile, request, held = signed(slug, body)
    assert isinstance(verify(profile, request, [held], NOW), Verified)
    is_signing = profile.kind is Kind.HMAC
    parts = ["body"] if is_signing else []
    unsigned = set()
    for spec in (profile.profile.timestamp, profile.profile.delivery_id):
        if spec is not None and spec.header is not None and not spec.signed:
            unsigned.add(spec.header.encode())
    if not is_signing and profile.profile.delivery_id is not None and profile.profile.delivery_id.header is not None:
        unsigned.add(profile.profile.delivery_id.header.encode())
    parts += [name.decode() for name, _ in request.headers if name not in unsigned]
    parts += ["query"] if request.query else []
    part = data.draw(st.sampled_from(parts))
    bent = flipped(request, part, data)
    assert isinstance(verify(profile, bent, [held], NOW), Refused), part


def flipped(request: SignedRequest, part: str, data: st.DataObject) -> SignedRequest:
    old = request.body if part == "body" else request.query if part == "query" else dict(request.headers)[part.encode()]
    at = data.draw(st.integers(0, len(old) - 1))
    new = old[:at] + bytes([old[at] ^ data.draw(st.integers(1, 255))]) + old[at + 1 :]
    if part == "body":
        return request._replace(body=new)
    if part == "query":
        return request._replace(query=new)
    return request._replace(headers=[(n, new if n == part.encode() else v) for n, v in request.headers])


@pytest.mark.attack("A05", "A11", "A18")
@pytest.mark.parametrize("slug", sorted(shipped_profiles()))
@given(
    values=st.lists(st.binary(max_size=120), min_size=6, max_size=6),
    body=st.binary(max_size=100),
    query=st.binary(max_size=60),
    path=st.text(max_size=30),
    seconds=st.integers(-(10**9), 4 * 10**9),
    doubled=st.booleans(),
)
@QUICK
def test_the_verifier_has_a_verdict_for_every_request(
    slug: str, values: list[bytes], body: bytes, query: bytes, path: str, seconds: int, doubled: bool
) -> None:
    profile = get_profile(slug)
    _, request, held = signed(slug, b"{}") if slug in SIGNING else (profile, None, None)
    names = [name for name, _ in request.headers] if request is not None else [b"webhook-signature", b"webhook-id"]
    headers = list(zip([*names, b"webhook-timestamp", b"authorization"], values, strict=False))
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=abs(seconds))
    odd = SignedRequest("POST", path, query, headers * 2 if doubled else headers, body)
    verdict = verify(profile, odd, [held] if held is not None else [], now)
    assert isinstance(verdict, Refused)
