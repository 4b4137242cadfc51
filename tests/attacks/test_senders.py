"""A27 to A39: secrets that protect nothing, sources that do not exist, credentials in the wrong place."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.auth.rules import Role
from app.net.signing import get_profile, stored_form
from app.observability.metrics import REGISTRY
from tests.attacks.target import Pairs, Target, raw
from tests.factories.ingest import alert_body
from tests.net.signing.senders import KEY, TEXT, hex_mac

BODY = alert_body(title="Disk full")
JSON = ("content-type", "application/json")
TOKEN = "t" * 40


@pytest.mark.attack("A27")
@pytest.mark.parametrize("profile", ["standard_webhooks", "github", "bearer", "basic", "url_secret"])
async def test_a_source_without_a_secret_opens_to_nobody(target: Target, profile: str) -> None:
    source = await target.source_of(profile=profile)
    headers = target.signed(BODY, source=source)
    await target.change("delete from source_secrets where source_id = :id", id=source.source.id)
    await target.refuses(BODY, headers, source=source)
    for key in (b"", b"None", b"null"):
        signed: Pairs = [
            JSON,
            ("x-hub-signature-256", "sha256=" + hex_mac(BODY, key)),
            ("authorization", b"Bearer " + key),
        ]
        await target.refuses(BODY, signed, source=source)


@pytest.mark.attack("A28")
@pytest.mark.parametrize(
    "secret",
    [
        "",
        "   ",
        "\t",
        "whsec_",
        "whsec_ ",
        "whsec_" + base64.b64encode(b"x" * 10).decode(),
        "xyz4" * 5 + "xyz",
        "x" * 30 + "\n",
    ],
    ids=["empty", "spaces", "tab", "prefix", "prefix-space", "ten-bytes", "twenty-three", "newline"],
)
@pytest.mark.parametrize("profile", ["standard_webhooks", "bearer"])
async def test_a_secret_that_protects_nothing_is_not_saved(
    api: httpx.AsyncClient, tokens: dict[Role, str], secret: str, profile: str
) -> None:
    body = {"kind": "generic", "name": "weak", "profile": profile, "secret": secret}
    answer = await api.post("/v1/sources", json=body, headers={"authorization": tokens[Role.ADMIN]})
    assert (answer.status_code, answer.json()["code"]) == (422, "signing.invalid_secret")
    made = await api.get("/v1/sources", headers={"authorization": tokens[Role.ADMIN]})
    assert made.json()["items"] == []


@pytest.mark.attack("A30")
@pytest.mark.parametrize("bent", ["cut", "longer", "last", "upper", "slash", "encoded", "nul", "empty"])
async def test_a_path_that_is_almost_a_sources(target: Target, bent: str) -> None:
    path = target.source.url_path
    other = "b" if path[-1] != "b" else "c"
    paths = {
        "cut": path[:-1],
        "longer": path + "a",
        "last": path[:-1] + other,
        "upper": "/in/" + path.removeprefix("/in/").upper(),
        "slash": path + "/",
        "encoded": path + "%2f",
        "nul": path + "%00",
        "empty": "/in/",
    }
    url = httpx.URL("http://tocsin.test").copy_with(raw_path=paths[bent].encode())
    answer = await target.api.post(url, content=BODY, headers=raw(list(target.signed(BODY).items())))
    stranger = await target.api.post("/in/" + "q" * 26, content=BODY)
    assert (answer.status_code, answer.content) == (401, stranger.content)
    assert await target.deliveries() == []


@pytest.mark.attack("A31")
async def test_compressed_bodies_signed_before_and_after(target: Target) -> None:
    packed = gzip.compress(BODY)
    # Signed over the plain bytes: what arrives is not what was signed.
    await target.refuses(packed, {**target.signed(BODY), "content-encoding": "gzip"})
    as_packed = {**target.signed(packed), "content-encoding": "gzip"}
    assert (await target.post(packed, as_packed)).status_code == 415
    assert await target.deliveries() == []


@pytest.mark.attack("A32")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_other_methods_are_answered_unread(target: Target, method: str) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    for path in (target.source.url_path, "/in/" + "q" * 26):
        scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
        await target.application(scope, receive, send)
    assert [message["status"] for message in sent if "status" in message] == [405, 405]
    assert sent[0] == sent[2], "a source that exists looks like one that does not"


@pytest.mark.attack("A33")
async def test_a_token_in_the_query(target: Target) -> None:
    for profile in ("bearer", "header_token", "github"):
        source = await target.source_of(profile=profile, secret=TOKEN)
        await target.refuses(BODY, [JSON], path=f"{source.source.url_path}?token={TOKEN}")
    source = await target.source_of(profile="url_secret")
    # Proxies hand on the whole address of what they rewrote.
    proxies = [
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
        "x-forwarded-uri",
        "x-envoy-original-path",
        "referer",
    ]
    headers = [JSON, *((name, source.url_path) for name in proxies)]
    with capture_logs() as logs:
        assert (await target.post(BODY, headers, source=source)).status_code == 202
    assert source.secret is not None
    assert source.secret not in repr(logs)
    assert source.secret not in repr(await target.deliveries())
    assert source.secret not in repr([sample.labels for metric in REGISTRY.collect() for sample in metric.samples])


@pytest.mark.attack("A34")
@pytest.mark.parametrize("profile", ["bearer", "basic", "header_token", "url_secret"])
async def test_of_a_shown_secret_only_a_digest_is_kept(target: Target, profile: str) -> None:
    """Digests are compared, so the time says nothing about how much of a guess was right."""
    source = await target.source_of(profile=profile)
    assert source.secret is not None
    [row] = await target.rows("select * from source_secrets where source_id = :id", id=source.source.id)
    assert source.secret.encode() not in row["ciphertext"]
    assert stored_form(get_profile(profile), source.secret) == hashlib.sha256(source.secret.encode()).digest()
    # The digest itself, should it leak, opens nothing.
    stolen = hashlib.sha256(source.secret.encode()).hexdigest()
    basic = base64.b64encode(f"tocsin:{stolen}".encode()).decode()
    for value in (f"Bearer {stolen}", f"Basic {basic}", stolen):
        path = f"{source.source.url_path}?token={stolen}"
        await target.refuses(BODY, [JSON, ("authorization", value), ("x-token", value)], path=path)


def jwt(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
    return ".".join(parts) + "."


@pytest.mark.attack("A35")
@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256", "kid": "../../dev/null"},
        {"alg": "HS256", "kid": "' or 1=1 --"},
        {"alg": "HS256", "jku": "http://169.254.169.254/keys"},
        {"alg": "HS256", "x5u": "https://evil.test/key.pem"},
        {"alg": "HS256", "crit": ["exp"]},
    ],
    ids=["none", "kid-path", "kid-sql", "jku", "x5u", "crit"],
)
async def test_a_jwt_is_a_wrong_token_and_nothing_else(target: Target, header: dict[str, Any]) -> None:
    source = await target.source_of(profile="bearer", secret=TOKEN)
    token = jwt(header, {"iss": "me", "aud": "tocsin", "sub": TOKEN})
    await target.refuses(BODY, [JSON, ("authorization", f"Bearer {token}")], source=source)
    await target.refuses(BODY, [JSON, ("authorization", f"Bearer {token}{TOKEN}")], source=source)


@pytest.mark.attack("A39")
async def test_slacks_handshake_without_a_valid_signature(target: Target) -> None:
    source = await target.source_of(profile="slack", secret=TEXT)
    body = b'{"type":"url_verification","challenge":"abc123"}'
    stamp = str(int(target.clock.now().timestamp()))
    await target.refuses(body, [JSON], source=source)
    forged = hex_mac(b"v0:" + stamp.encode() + b":" + body, b"x" * len(KEY))
    signed: list[tuple[str, str | bytes]] = [JSON, ("x-slack-request-timestamp", stamp)]
    await target.refuses(body, [*signed, ("x-slack-signature", "v0=" + forged)], source=source)
    # The same words at a source of another kind are an ordinary delivery, never an echo.
    ordinary = await target.send(body)
    assert "abc123" not in ordinary.text
