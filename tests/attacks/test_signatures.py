"""A01 to A14: signatures that are missing, cut, bent or made for something else."""

from __future__ import annotations

import base64

import pytest

from app.ingest.service import CreatedSource
from app.net.signing import RefusalReason, Refused, get_profile, verify
from tests.attacks.target import Target
from tests.factories.ingest import alert_body
from tests.fixtures.cost import processor_seconds
from tests.net.signing.senders import TEXT, WHSEC, base64_mac, hex_mac, request, secret

BODY = alert_body(title="Disk full", host="db-1")
JSON = ("content-type", "application/json")


def github(value: str | bytes) -> list[tuple[str, str | bytes]]:
    return [JSON, ("x-hub-signature-256", value)]


@pytest.fixture
async def hub(target: Target) -> CreatedSource:
    """A source that signs as GitHub does: one prefix, hex, the body alone."""
    return await target.source_of(profile="github", secret=TEXT)


@pytest.fixture
async def stripe(target: Target) -> CreatedSource:
    return await target.source_of(profile="stripe", secret=TEXT)


def at(target: Target) -> int:
    return int(target.clock.now().timestamp())


def stripe_header(target: Target, body: bytes = BODY, version: str = "v1") -> str:
    return f"t={at(target)},{version}={hex_mac(b'%d.' % at(target) + body)}"


async def test_the_attacks_start_from_requests_that_are_accepted(
    target: Target, hub: CreatedSource, stripe: CreatedSource
) -> None:
    """Without this, every refusal below could have another cause."""
    assert (await target.send(BODY)).status_code == 202
    assert (await target.post(BODY, github("sha256=" + hex_mac(BODY)), source=hub)).status_code == 202
    signed = [JSON, ("stripe-signature", stripe_header(target))]
    assert (await target.post(BODY, signed, source=stripe)).status_code == 202


@pytest.mark.attack("A01")
@pytest.mark.parametrize("missing", ["webhook-signature", "webhook-timestamp", "webhook-id", "all"])
async def test_a_signature_that_is_not_there(target: Target, missing: str) -> None:
    headers = target.signed(BODY)
    left = {name: value for name, value in headers.items() if name != missing and missing != "all"}
    await target.refuses(BODY, left)


@pytest.mark.attack("A02")
@pytest.mark.parametrize("value", ["", "v1,", "v1", ",", " ", "v1, v1,", "sha256=", "v1=", "="])
async def test_an_empty_signature(target: Target, hub: CreatedSource, stripe: CreatedSource, value: str) -> None:
    await target.refuses(BODY, {**target.signed(BODY), "webhook-signature": value})
    await target.refuses(BODY, github(value), source=hub)
    await target.refuses(BODY, [JSON, ("stripe-signature", f"t={at(target)},{value}")], source=stripe)


@pytest.mark.attack("A03")
@pytest.mark.parametrize("kept_bytes", [*range(1, 32)])
async def test_the_beginning_of_the_right_digest(target: Target, hub: CreatedSource, kept_bytes: int) -> None:
    digest = bytes.fromhex(hex_mac(BODY))[:kept_bytes]
    profile = get_profile("github")
    value = "sha256=" + digest.hex()
    verdict = verify(profile, request(github(value)[1:], BODY), [secret(profile, TEXT)], target.clock.now())
    assert isinstance(verdict, Refused)
    if kept_bytes in (1, 16, 31):
        await target.refuses(BODY, github(value), source=hub)
        cut = base64.b64encode(digest).decode()
        await target.refuses(BODY, {**target.signed(BODY), "webhook-signature": f"v1,{cut}"})


@pytest.mark.attack("A04")
@pytest.mark.parametrize("more", ["0", "00", " ", "=", "a" * 64, "\t"])
async def test_the_right_digest_with_more_behind_it(target: Target, hub: CreatedSource, more: str) -> None:
    await target.refuses(BODY, github("sha256=" + hex_mac(BODY) + more), source=hub)
    if more != " ":  # which only separates the items of a list
        right = target.signed(BODY)
        await target.refuses(BODY, {**right, "webhook-signature": f"{right['webhook-signature']!s}{more}"})


JUNK = {
    "latin": b"\xff\xfe" * 32,
    "greek": "Ω".encode() * 32,
    "not-hex": b"g" * 64,
    "nul": b"\x00" * 64,
    "not-base64": b"!" * 44,
    "arabic-digits": "٣".encode() * 32,
}


@pytest.mark.attack("A05")
@pytest.mark.parametrize("kind", sorted(JUNK))
async def test_a_signature_that_is_no_text_of_ours(target: Target, hub: CreatedSource, kind: str) -> None:
    await target.refuses(BODY, github(b"sha256=" + JUNK[kind]), source=hub)
    await target.refuses(BODY, {**target.signed(BODY), "webhook-signature": b"v1," + JUNK[kind]})


@pytest.mark.attack("A05")
async def test_a_megabyte_of_signature(target: Target, hub: CreatedSource) -> None:
    """In front of the verifier the frame refuses such headers; the verifier itself does not read them either."""
    answer = await target.post(BODY, github(b"sha256=" + b"a" * 1_000_000), source=hub)
    assert answer.status_code == 431
    assert await target.deliveries() == []
    profile = get_profile("github")
    held, huge = [secret(profile, TEXT)], request([("x-hub-signature-256", b"sha256=" + b"a" * 1_000_000)], BODY)
    now = target.clock.now()
    assert verify(profile, huge, held, now) == Refused(RefusalReason.MALFORMED)
    assert processor_seconds(lambda: verify(profile, huge, held, now), tries=20) < 0.005


def spellings(right: str) -> list[str]:
    """Every other spelling of the right base64: spare bits, padding, alphabet, white space."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(right[-2])
    spare = [right[:-2] + alphabet[last ^ bits] + "=" for bits in (1, 2, 3)]
    assert all(base64.b64decode(other) == base64.b64decode(right) for other in spare)
    return [*spare, right.rstrip("="), right + "=", " " + right, right[:5] + " " + right[5:]]


@pytest.mark.attack("A06")
@pytest.mark.parametrize("index", range(7))
async def test_the_right_signature_spelled_differently(target: Target, index: int) -> None:
    headers = target.signed(BODY)
    right = str(headers["webhook-signature"]).removeprefix("v1,")
    await target.refuses(BODY, {**headers, "webhook-signature": "v1," + spellings(right)[index]})


@pytest.mark.attack("A06")
async def test_upper_case_hex_and_the_alphabet_for_urls(target: Target, hub: CreatedSource) -> None:
    await target.refuses(BODY, github("sha256=" + hex_mac(BODY).upper()), source=hub)
    for number in range(100):
        body = alert_body(title=str(number))
        headers = target.signed(body)
        right = str(headers["webhook-signature"])
        if set("+/") & set(right):
            await target.refuses(body, {**headers, "webhook-signature": right.replace("+", "-").replace("/", "_")})
            return
    raise AssertionError("a hundred signatures without + and /")


@pytest.mark.attack("A07")
async def test_a_replay_whose_signature_is_spelled_differently(target: Target) -> None:
    headers = target.signed(BODY)
    first = (await target.post(BODY, headers)).json()
    right = str(headers["webhook-signature"])
    for value in (f"{right} v1,{base64_mac(b'other')}", f"v2,abc {right}", f"{right} {right}"):
        again = await target.post(BODY, {**headers, "webhook-signature": value})
        assert (again.status_code, again.json()) == (202, {**first, "duplicate": True})
    assert len(await target.deliveries()) == 1


@pytest.mark.attack("A08")
@pytest.mark.parametrize("count", [10, 500])
async def test_more_signatures_than_are_read(target: Target, count: int) -> None:
    headers = target.signed(BODY)
    value = f"v1,{'A' * 43}= " * count + str(headers["webhook-signature"])
    await target.refuses(BODY, {**headers, "webhook-signature": value})


@pytest.mark.attack("A08")
def test_ten_thousand_signatures_cost_no_comparison(target: Target) -> None:
    profile = get_profile("standard_webhooks")
    value = "v1,x " * 10_000 + "v1,x"
    headers = [("webhook-id", "m"), ("webhook-timestamp", str(at(target))), ("webhook-signature", value)]
    verdict = verify(profile, request(headers, BODY), [secret(profile, WHSEC)], target.clock.now())
    assert verdict == Refused(RefusalReason.MALFORMED)


@pytest.mark.attack("A09")
@pytest.mark.parametrize("place", range(4))
async def test_the_right_signature_among_wrong_ones_is_found(target: Target, place: int) -> None:
    headers = target.signed(BODY)
    wrong = base64_mac(b"other")
    items = [f"v1,{wrong}", f"v2,{wrong}", f"v1,{wrong}"]
    items.insert(place, str(headers["webhook-signature"]))
    assert (await target.post(BODY, {**headers, "webhook-signature": " ".join(items)})).status_code == 202


@pytest.mark.attack("A10")
async def test_the_right_digest_under_another_version(target: Target, stripe: CreatedSource) -> None:
    headers = target.signed(BODY)
    other = str(headers["webhook-signature"]).replace("v1,", "v2,")
    await target.refuses(BODY, {**headers, "webhook-signature": other})
    await target.refuses(BODY, [JSON, ("stripe-signature", stripe_header(target, version="v0"))], source=stripe)


@pytest.mark.attack("A11")
@pytest.mark.parametrize("name", ["webhook-signature", "webhook-timestamp", "webhook-id"])
@pytest.mark.parametrize("order", ["right-first", "wrong-first", "both-right"])
async def test_a_header_sent_twice(target: Target, name: str, order: str) -> None:
    headers = list(target.signed(BODY).items())
    right = next(value for known, value in headers if known == name)
    other = right if order == "both-right" else "v1," + "A" * 43 + "="
    doubled = [(name, other), *headers] if order == "wrong-first" else [*headers, (name, other)]
    await target.refuses(BODY, doubled)


@pytest.mark.attack("A12")
@pytest.mark.parametrize(
    "prefix", ["xsha256=", "sha256=sha256=", "sha1=", "SHA256=", "sha256==", "sha256:", "sha512=", ""]
)
async def test_a_prefix_that_is_almost_the_right_one(target: Target, hub: CreatedSource, prefix: str) -> None:
    await target.refuses(BODY, github(prefix + hex_mac(BODY)), source=hub)


@pytest.mark.attack("A13")
async def test_a_weaker_digest(target: Target, hub: CreatedSource) -> None:
    sha1 = hex_mac(BODY, algorithm="sha1")
    await target.refuses(BODY, github("sha256=" + sha1), source=hub)
    await target.refuses(BODY, github("sha1=" + sha1), source=hub)
    await target.refuses(BODY, [JSON, ("x-hub-signature", "sha1=" + sha1)], source=hub)


@pytest.mark.attack("A14")
@pytest.mark.parametrize(
    "sent",
    [
        b'{"b":2,"a":"x y"}',
        b'{"a": "x y", "b": 2}',
        b'{"a":"x\\u0020y","b":2}',
        b'\xef\xbb\xbf{"a":"x y","b":2}',
        b'{"a":"x y","b":2}\r\n',
        b'{"a":"x y","b":2.0}',
    ],
    ids=["key-order", "spaces", "escapes", "bom", "crlf", "number"],
)
async def test_the_same_document_in_other_bytes(target: Target, hub: CreatedSource, sent: bytes) -> None:
    signed = b'{"a":"x y","b":2}'
    await target.refuses(sent, github("sha256=" + hex_mac(signed)), source=hub)
    await target.refuses(sent, target.signed(signed))
