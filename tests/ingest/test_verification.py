"""Profiles of a tenant's own, tried before they are trusted, and what a source refused: over the API and on the route."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.hot import VERIFIED
from app.main import Application, create_app
from app.net.signing.mtls_check import CONSENT
from app.net.signing.remote_keys import RemoteKeys
from app.settings import Settings
from tests.factories.ingest import alert_body
from tests.fixtures.wait import wait_until
from tests.net.signing.issuers import PINS, Issuer
from tests.net.signing.senders import KEY, TEXT, hex_mac

Tokens = dict[Role, str]
JSON = ("content-type", "application/json")
STAMP = 1_900_000_000


def mac(message: bytes, key: bytes = b"another secret for the vectors only") -> str:
    return hmac.new(key, message, hashlib.sha512).hexdigest()


def document(**changes: Any) -> dict[str, Any]:
    """A sender that ships with nobody: HMAC-SHA512 over method, time and body, in a header of its own."""

    def vector(name: str, expect: str, *, at: int = STAMP, body: str = "{}", signature: str | None = None) -> Any:
        right = mac(f"POST {at}\n".encode() + b"{}")
        headers = [["x-acme-time", str(at)], ["x-acme-mac", f"acme {signature or right}"]]
        return {
            "name": name,
            "headers": headers,
            "body": body,
            "secrets": ["another secret for the vectors only"],
            "now": "2030-03-17T17:46:40+00:00",
            "expect": expect,
        }

    made = {
        "slug": "acme",
        "title": "Acme's own",
        "source": "Acme's manual, page 7",
        "kind": "hmac",
        "algorithm": "sha512",
        "signature": {"header": "x-acme-mac", "format": {"type": "prefix", "prefix": "acme "}},
        "signed": "{method} {timestamp}\n{body}",
        "timestamp": {"header": "x-acme-time", "format": "unix_s", "signed": True, "past_s": 60, "future_s": 60},
        "delivery_id": {"header": "x-acme-id", "signed": False, "stable_on_retry": True},
        "vectors": [
            vector("right", "accept"),
            vector("body changed", "mismatch", body="[]"),
            vector("stale", "skew", at=STAMP - 61),
            vector("cut", "malformed", signature="00"),
        ],
    }
    return made | changes


@pytest.fixture
async def app(database: Database, resources: Resources) -> AsyncIterator[Application]:
    """The whole application, which forgets sources at once and believes a proxy at 127.0.0.1."""
    found = resources.get(Settings)
    changes: dict[str, Any] = {
        "source_cache_ttl_s": 0.0,
        "unknown_cache_ttl_s": 0.0,
        "refusal_flush_s": 0.0,
        "commit_wait_s": 10.0,
        "public_url": "https://tocsin.example",
        "client_cert_header": "X-Client-Cert",
        "client_cert_proxies": ["127.0.0.0/8"],
    }
    made = found.model_copy(update={"ingest": found.ingest.model_copy(update=changes)})
    resources.provide(Settings, made)
    application = create_app(made, resources)
    yield application
    await application._ingest.aclose()


@pytest.fixture
async def web(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as client:
        yield client


class Tenant:
    """One tenant at the API."""

    def __init__(self, web: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId) -> None:
        self.web = web
        self._tokens = tokens
        self._database = database
        self._tenant_id = tenant_id

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: Role = Role.ENGINEER,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"authorization": self._tokens[role], **(headers or {})}
        return await self.web.request(method, path, json=body, headers=sent)

    async def source(self, **changes: Any) -> dict[str, Any]:
        answer = await self.call("POST", "/v1/sources", {"kind": "generic", "name": "watch"} | changes)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        async with tenant_session(self._database, self._tenant_id) as session:
            return [dict(row) for row in (await session.execute(text(statement))).mappings()]

    async def send(self, path: str, body: bytes, *headers: tuple[str, str]) -> httpx.Response:
        return await self.web.post(path, content=body, headers=[JSON, *headers])


@pytest.fixture
def tenant(web: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId) -> Tenant:
    return Tenant(web, tokens, database, tenant_id)


async def test_profiles_are_listed_by_strength_and_found_by_sender(tenant: Tenant) -> None:
    listed = (await tenant.call("GET", "/v1/signature-profiles", role=Role.VIEWER)).json()["items"]
    assert [one["rank"] for one in listed] == sorted(one["rank"] for one in listed)
    assert (listed[0]["strength"], listed[-1]["strength"]) == ("signed_fresh", "none")
    found = (await tenant.call("GET", "/v1/signature-profiles?sender=alertmanager")).json()["items"]
    assert [one["slug"] for one in found] == ["mtls", "basic", "bearer"]
    one = (await tenant.call("GET", "/v1/signature-profiles/github")).json()
    assert one["document"]["signed"] == "{body}"
    assert one["expects"] == ["x-hub-signature-256: sha256=<64 hexadecimal digits>"]
    assert (await tenant.call("GET", "/v1/signature-profiles/nobodys")).status_code == 404


async def preview(tenant: Tenant, **changes: Any) -> httpx.Response:
    body = b'{"alarm":"disk"}'
    wanted = {
        "profile": "github",
        "secrets": [TEXT],
        "request": {"headers": {"X-Hub-Signature-256": "sha256=" + hex_mac(body)}, "body": body.decode()},
    }
    return await tenant.call("POST", "/v1/sources/preview-verification", wanted | changes)


async def test_a_request_that_verifies_is_said_to_and_its_bytes_are_shown(tenant: Tenant) -> None:
    seen = (await preview(tenant)).json()
    assert (seen["verified"], seen["reason"], seen["strength"]) == (True, None, "signed")
    assert seen["signed"]["text"] == '{"alarm":"disk"}'
    assert seen["signed"]["sha256"] == hashlib.sha256(b'{"alarm":"disk"}').hexdigest()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"request": {"headers": [], "body": "{}"}}, "missing"),
        ({"request": {"headers": [["x-hub-signature-256", "sha256=XYZ"]], "body": "{}"}}, "malformed"),
        ({"request": {"headers": [["x-hub-signature-256", "sha256=" + "0" * 64]], "body": "{}"}}, "mismatch"),
        ({"secrets": []}, "no_secret"),
        ({"profile": "mtls", "secrets": ["dns:a.example"]}, "not_configured"),
        ({"profile": "twilio", "secrets": ["t" * 32], "request": {"origin": ""}}, "not_configured"),
    ],
)
async def test_a_refusal_is_explained_and_gives_nothing_away(
    tenant: Tenant, changes: dict[str, Any], reason: str
) -> None:
    answer = await preview(tenant, **changes)
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert (seen["verified"], seen["reason"]) == (False, reason)
    assert seen["explanation"]
    for secret_thing in (TEXT, hex_mac(b"{}"), base64.b64encode(KEY).decode()):
        assert secret_thing not in answer.text


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"profile": "nobodys"}, 404, "signing.profile_not_found"),
        ({"profile": {"slug": "x"}}, 422, "signing.invalid_profile"),
        ({"secrets": ["short"]}, 422, "signing.invalid_secret"),
        ({"secrets": ["x" * 30] * 6}, 422, "validation"),
        ({"request": {"body": "a", "body_b64": "YQ=="}}, 422, "validation"),
        ({"request": {"body_b64": "!"}}, 422, "source.captured_request_invalid"),
        ({"request": {"headers": [["x-\u00e9", "1"]]}}, 422, "source.captured_request_invalid"),
        ({"now": "2030-01-01T00:00:00"}, 422, "validation"),
    ],
)
async def test_what_cannot_be_tried_is_refused(tenant: Tenant, changes: dict[str, Any], status: int, code: str) -> None:
    answer = await preview(tenant, **changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_token_is_tried_with_the_keys_that_its_issuer_publishes(
    tenant: Tenant, app: Application, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    issuer = Issuer()
    up = False

    async def fetch(_url: str) -> bytes:
        return issuer.jwks() if up else b""

    monkeypatch.setattr(app._ingest._proofs._keys, "_fetch", fetch)
    request = {"headers": {"authorization": f"Bearer {issuer.token(issuer.claims(clock.now()))}"}, "body": "{}"}
    wanted = {"profile": "azure_monitor", "secrets": [PINS], "request": request}
    assert (await preview(tenant, **wanted)).json()["reason"] == "keys_unavailable"
    up = True
    app._ingest._proofs._keys._tried.clear()
    assert (await preview(tenant, **wanted)).json()["verified"] is True
    later = {"now": (clock.now() + timedelta(hours=2)).isoformat()}
    assert (await preview(tenant, **wanted, **later)).json()["reason"] == "skew"


async def test_a_profile_of_ones_own_is_tried_given_to_a_source_and_used(tenant: Tenant, clock: FakeClock) -> None:
    body = alert_body()
    stamp = str(int(clock.now().timestamp()))
    secret = "what-acme-was-given-and-nobody-else"
    signature = "acme " + mac(f"POST {stamp}\n".encode() + body, secret.encode())
    request = {"headers": {"x-acme-time": stamp, "x-acme-mac": signature}, "body": body.decode()}
    tried = (await preview(tenant, profile=document(), secrets=[secret], request=request)).json()
    assert (tried["verified"], tried["strength"]) == (True, "signed_fresh")
    assert tried["signed"]["text"].startswith(f"POST {stamp}\\x0a")

    made = await tenant.source()
    path = f"/v1/sources/{made['source']['id']}/profile"
    answer = await tenant.call("PUT", path, {"profile": document(), "secret": secret})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["source"]["profile"], answer.json()["source"]["strength"]) == ("custom", "signed_fresh")
    url = made["source"]["url_path"]
    sent = await tenant.send(url, body, ("x-acme-time", stamp), ("x-acme-mac", signature))
    assert sent.status_code == 202
    assert (await tenant.send(url, body + b" ", ("x-acme-time", stamp), ("x-acme-mac", signature))).status_code == 401
    shown = (await tenant.call("GET", path)).json()
    assert (shown["profile"], shown["strength"], shown["document"]["slug"]) == ("acme", "signed_fresh", "acme")
    listed = (await tenant.call("GET", "/v1/sources")).json()["items"]
    assert [(one["profile"], one["strength"]) for one in listed] == [("custom", "signed_fresh")]
    trail = await tenant.rows("select action, detail from audit_entries where action = 'source.profile_set'")
    assert trail == [
        {"action": "source.profile_set", "detail": {"profile": "acme", "strength": "signed_fresh", "own": True}}
    ]
    assert secret not in json.dumps(trail)


async def test_the_secret_of_a_profile_of_ones_own_is_rotated_with_an_overlap(tenant: Tenant, clock: FakeClock) -> None:
    made = await tenant.source()
    path = f"/v1/sources/{made['source']['id']}"
    first = (await tenant.call("PUT", f"{path}/profile", {"profile": document()})).json()["secret"]
    second = (await tenant.call("POST", f"{path}/rotate-secret", {"overlap_s": 60})).json()["secret"]
    third_from_now = timedelta(seconds=61)

    async def status(secret: str) -> int:
        body, stamp = alert_body(), str(int(clock.now().timestamp()))
        signature = "acme " + mac(f"POST {stamp}\n".encode() + body, secret.encode())
        answer = await tenant.send(made["source"]["url_path"], body, ("x-acme-time", stamp), ("x-acme-mac", signature))
        return answer.status_code

    assert [await status(first), await status(second)] == [202, 202]
    clock.advance(third_from_now)
    assert [await status(first), await status(second)] == [401, 202]


async def test_another_profile_ends_the_old_secrets_at_once(tenant: Tenant) -> None:
    made = await tenant.source(profile="bearer")
    url, old = made["source"]["url_path"], ("authorization", f"Bearer {made['secret']}")
    assert (await tenant.send(url, alert_body(), old)).status_code == 202
    path = f"/v1/sources/{made['source']['id']}/profile"
    answer = await tenant.call("PUT", path, {"profile": "github"})
    assert answer.json()["secret"] != made["secret"]
    body = alert_body()
    signature = hex_mac(body, made["secret"].encode())
    for header in (old, ("x-hub-signature-256", f"sha256={signature}")):
        assert (await tenant.send(url, body, header)).status_code == 401
    right = hex_mac(body, answer.json()["secret"].encode())
    assert (await tenant.send(url, body, ("x-hub-signature-256", f"sha256={right}"))).status_code == 202


async def test_a_profile_of_ones_own_comes_with_a_new_source(tenant: Tenant, clock: FakeClock) -> None:
    secret = "what-acme-was-given-and-nobody-else"
    made = await tenant.source(profile=document(), secret=secret)
    assert (made["source"]["profile"], made["source"]["strength"]) == ("custom", "signed_fresh")
    body, stamp = alert_body(), str(int(clock.now().timestamp()))
    signature = "acme " + mac(f"POST {stamp}\n".encode() + body, secret.encode())
    proof = (("x-acme-time", stamp), ("x-acme-mac", signature))
    assert (await tenant.send(made["source"]["url_path"], body, *proof)).status_code == 202
    assert (await tenant.send(made["source"]["url_path"], body + b" ", *proof)).status_code == 401
    shown = (await tenant.call("GET", f"/v1/sources/{made['source']['id']}/profile")).json()
    assert (shown["profile"], shown["document"]["slug"]) == ("acme", "acme")
    trail = await tenant.rows("select detail from audit_entries where action = 'source.created'")
    assert [entry["detail"] for entry in trail] == [
        {"kind": "generic", "name": "watch", "profile": "acme", "strength": "signed_fresh", "own": True}
    ]
    assert secret not in json.dumps(trail)


async def test_a_source_with_a_profile_of_its_own_is_made_once_and_is_nobody_elses(
    tenant: Tenant, other_tokens: Tokens
) -> None:
    wanted = {"kind": "generic", "name": "watch", "profile": document()}
    headers = {"idempotency-key": "k1"}
    first, second = [await tenant.call("POST", "/v1/sources", wanted, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json() | {"secret": None, "url": None, "curl": None}
    assert len(await tenant.rows("select source_id from source_profiles")) == 1
    answer = await tenant.web.get(
        f"/v1/sources/{first.json()['source']['id']}/profile", headers={"authorization": other_tokens[Role.ADMIN]}
    )
    assert answer.status_code == 404
    assert "acme" not in answer.text


CANNOT: dict[str, tuple[dict[str, Any], str]] = {
    "no-vectors": ({"vectors": []}, "needs a vector"),
    "failing-vector": ({"signed": "{timestamp} {method}\n{body}"}, "gives mismatch"),
    "too-many-vectors": ({"vectors": document()["vectors"] * 6}, "at most 20 vectors"),
    "vast-vector": ({"vectors": [*document()["vectors"], document()["vectors"][1] | {"body": "x" * 8193}]}, "8192"),
    "vast": ({"title": "x" * 70_000}, "at most 65536 bytes"),
    "shipped-slug": ({"slug": "github"}, "belongs to a shipped profile"),
    "plugin": ({"kind": "plugin", "plugin": "twilio", "signature": None, "signed": None}, "not valid"),
    "unknown-field": ({"verify": False}, "verify"),
    "odd-cap": ({"limits": {"max_body_bytes": 5000}}, "limits.max_body_bytes"),
    "nul": ({"title": "a\x00b"}, "NUL"),
    "sha1": ({"algorithm": "sha1"}, "legacy"),
}


@pytest.mark.parametrize(("changes", "says"), CANNOT.values(), ids=CANNOT)
async def test_a_document_that_cannot_be_trusted_is_not_saved(
    tenant: Tenant, changes: dict[str, Any], says: str
) -> None:
    made = await tenant.source()
    path = f"/v1/sources/{made['source']['id']}/profile"
    answer = await tenant.call("PUT", path, {"profile": document(**changes)})
    assert (answer.status_code, answer.json()["code"]) == (422, "signing.invalid_profile"), answer.text
    assert says in answer.json()["detail"]
    assert await tenant.rows("select * from source_profiles") == []
    assert (await tenant.call("GET", path)).json()["profile"] == "standard_webhooks"
    wanted = {"kind": "generic", "name": "another", "profile": document(**changes)}
    at_once = await tenant.call("POST", "/v1/sources", wanted)
    assert (at_once.status_code, at_once.json()["code"], at_once.json()["detail"]) == (
        422,
        "signing.invalid_profile",
        answer.json()["detail"],
    )
    assert len(await tenant.rows("select id from sources")) == 1, "nothing is left of what was refused"


async def test_vectors_that_hold_the_secret_are_refused(tenant: Tenant) -> None:
    made = await tenant.source()
    path = f"/v1/sources/{made['source']['id']}/profile"
    body = {"profile": document(), "secret": "another secret for the vectors only"}
    for answer in (
        await tenant.call("PUT", path, body),
        await tenant.call("POST", "/v1/sources", {"kind": "generic", "name": "another", **body}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "signing.invalid_profile")
    assert len(await tenant.rows("select id from sources")) == 1


async def test_who_may_do_what(tenant: Tenant, other_tokens: Tokens) -> None:
    made = await tenant.source()
    path = f"/v1/sources/{made['source']['id']}"
    for role in (Role.VIEWER, Role.RESPONDER):
        assert (await tenant.call("PUT", f"{path}/profile", {"profile": "github"}, role=role)).status_code == 403
        assert (await preview_as(tenant, role)).status_code == 403
    other = {"authorization": other_tokens[Role.ADMIN]}
    for method, end in (("GET", "profile"), ("PUT", "profile"), ("GET", "refusals")):
        answer = await tenant.web.request(method, f"{path}/{end}", json={"profile": "github"}, headers=other)
        assert answer.status_code == 404


async def preview_as(tenant: Tenant, role: Role) -> httpx.Response:
    body = {"profile": "github", "request": {}}
    return await tenant.call("POST", "/v1/sources/preview-verification", body, role=role)


async def test_no_proof_at_all_needs_the_tenants_words_and_is_shown(tenant: Tenant) -> None:
    body = {"kind": "generic", "name": "open", "profile": "none"}
    for secret in (None, "yes", "x" * 40):
        answer = await tenant.call("POST", "/v1/sources", body | ({"secret": secret} if secret else {}))
        assert answer.status_code == 422
    assert CONSENT in (await tenant.call("POST", "/v1/sources", body)).json()["detail"]
    made = await tenant.source(profile="none", secret=CONSENT)
    assert (made["source"]["strength"], made["secret"]) == ("none", None)
    before = VERIFIED.labels("none")._value.get()
    assert (await tenant.send(made["source"]["url_path"], alert_body())).status_code == 202
    assert VERIFIED.labels("none")._value.get() == before + 1
    await tenant.rows("delete from source_secrets returning id")
    assert (await tenant.send(made["source"]["url_path"], alert_body())).status_code == 401


async def test_deliveries_are_counted_by_the_strength_of_their_proof(tenant: Tenant) -> None:
    made = await tenant.source(profile="bearer")
    before = VERIFIED.labels("token")._value.get()
    header = ("authorization", f"Bearer {made['secret']}")
    for body in (alert_body(), alert_body()):
        assert (await tenant.send(made["source"]["url_path"], body, header)).status_code == 202
    await tenant.send(made["source"]["url_path"], alert_body(), ("authorization", "Bearer x"))
    assert VERIFIED.labels("token")._value.get() == before + 2


async def test_refusals_are_shown_to_their_tenant_with_a_few_examples(tenant: Tenant) -> None:
    made = await tenant.source(profile="github")
    url = made["source"]["url_path"]
    path = f"/v1/sources/{made['source']['id']}/refusals"
    for number in range(30):
        odd = ("x-github-delivery", f"guess-{number}")
        assert (await tenant.send(url, b"{}", ("x-hub-signature-256", "sha256=" + "0" * 64), odd)).status_code == 401

        async def told(wanted: int = number + 1) -> bool:
            counts = (await tenant.call("GET", path)).json()["counts"]
            return [count["count"] for count in counts] == [wanted]

        if number % 10 == 9:
            await wait_until(told, what="the refusals are written down")
    seen = (await tenant.call("GET", path, role=Role.VIEWER)).json()
    assert {count["reason"] for count in seen["counts"]} == {"mismatch"}
    assert 1 <= len(seen["recent"]) <= 20
    newest = seen["recent"][0]
    assert (newest["reason"], newest["size_bytes"]) == ("mismatch", 2)
    assert newest["claimed_id"].startswith("guess-")
    assert "000000" not in json.dumps(seen["recent"][0]["claimed_id"])


async def test_one_signed_id_for_two_bodies_is_told(tenant: Tenant, clock: FakeClock) -> None:
    made = await tenant.source()
    from app.net.signing import get_profile, sign

    for title in ("one", "two"):
        body = alert_body(title=title)
        headers = sign(get_profile("standard_webhooks"), made["secret"], body, clock.now(), "msg_same")
        assert (await tenant.send(made["source"]["url_path"], body, *headers)).status_code == 202
    path = f"/v1/sources/{made['source']['id']}/refusals"

    async def told() -> bool:
        recent = (await tenant.call("GET", path)).json()["recent"]
        return [(one["reason"], one["claimed_id"]) for one in recent] == [("replay_conflict", "msg_same")]

    await wait_until(told, what="the conflict is told")


async def test_a_certificate_that_the_proxy_shows_lets_its_owner_in(tenant: Tenant) -> None:
    from tests.net.signing.test_certificates import PEM, SPELLED

    made = await tenant.source(profile="mtls", secret="dns:alertmanager.example")
    assert made["secret"] is None
    url, shown = made["source"]["url_path"], ("x-client-cert", SPELLED["nginx"].decode())
    tried = await preview(tenant, profile="mtls", secrets=["dns:alertmanager.example"], request={"certificate": PEM})
    assert tried.json()["verified"] is True
    assert (await tenant.send(url, alert_body(), shown)).status_code == 202
    assert (await tenant.send(url, alert_body())).status_code == 401
    assert (await tenant.send(url, alert_body(), ("x-client-cert2", shown[1]))).status_code == 401
    stored = await tenant.rows("select headers from deliveries")
    assert "BEGIN" not in json.dumps(stored)


async def test_twilio_signs_the_address_that_the_setting_names(tenant: Tenant) -> None:
    token = "12345678901234567890123456789012"
    made = await tenant.source(profile="twilio", secret=token)
    url, body = made["source"]["url_path"], b"Body=disk&From=%2B1415"
    message = f"https://tocsin.example{url}Bodydisk" + "From+1415"
    signature = base64.b64encode(hmac.new(token.encode(), message.encode(), hashlib.sha1).digest()).decode()
    form = ("content-type", "application/x-www-form-urlencoded")
    for value, status in ((signature, 200), (("B" if signature[0] == "A" else "A") + signature[1:], 401)):
        answer = await tenant.web.post(url, content=body, headers=[form, ("x-twilio-signature", value)])
        assert answer.status_code == status, answer.text


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_any_document_and_any_request_are_judged_or_refused(web: httpx.AsyncClient, data: st.DataObject) -> None:
    """Straight at the use case: no authentication and no database in between."""
    from pydantic import ValidationError

    from app.core.clock import SystemClock
    from app.core.errors import TocsinError
    from app.ingest.verification.schemas import PreviewVerification
    from app.ingest.verification.service import preview_verification
    from app.net.errors import OutboundError

    async def fetch(_url: str) -> bytes:
        raise OutboundError("no connection")

    made = document()
    for key in data.draw(st.lists(st.sampled_from(sorted(made)), max_size=2)):
        made[key] = data.draw(ANY)
    slugs = st.sampled_from(
        ["github", "slack", "sns", "twilio", "mtls", "azure_monitor", "basic", "url_secret", "none"]
    )
    names = st.sampled_from(["path", "method", "headers", "body", "body_b64", "origin", "certificate"])
    request = data.draw(st.dictionaries(names, st.text(max_size=40) | ANY))
    profile = data.draw(st.just(made) | slugs)
    secrets = data.draw(st.lists(st.text(max_size=40) | st.just("x" * 40) | st.just(PINS), max_size=2))
    try:
        wanted = PreviewVerification.model_validate({"profile": profile, "secrets": secrets, "request": request})
        keys = RemoteKeys(fetch, ticks=lambda: 0.0)
        seen = await preview_verification(wanted, keys=keys, public_url="https://x.example", now=SystemClock().now())
    except (ValidationError, TocsinError):
        return
    assert seen.verified or seen.reason
