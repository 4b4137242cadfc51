"""A profile and a secret tried on a captured request, before anything is saved."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.ingest.proofs import TrialKeys, keys_of_process
from app.main import Application
from app.net.signing.remote_keys import RemoteKeys
from app.net.signing.shares import Shares
from tests.ingest.verification.conftest import Tenant, Tokens, document, preview
from tests.net.signing.issuers import PINS, Issuer
from tests.net.signing.senders import KEY, TEXT, hex_mac


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
    tenant: Tenant, tenant_id: TenantId, app: Application, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    issuer = Issuer()
    up = False

    async def fetch(_url: str) -> bytes:
        return issuer.jwks() if up else b""

    keys = keys_of_process(app._resources, TrialKeys)
    monkeypatch.setattr(keys, "_fetch", fetch)
    monkeypatch.setattr(keys, "_shares", Shares())
    believed = app._ingest._proofs._keys
    before = dict(believed._shares._kept), set(believed._tasks)
    request = {"headers": {"authorization": f"Bearer {issuer.token(issuer.claims(clock.now()))}"}, "body": "{}"}
    wanted = {"profile": "azure_monitor", "secrets": [PINS], "request": request}
    assert (await preview(tenant, **wanted)).json()["reason"] == "keys_unavailable"
    up = True
    monkeypatch.setattr(keys, "_shares", Shares())
    assert (await preview(tenant, **wanted)).json()["verified"] is True
    later = {"now": (clock.now() + timedelta(hours=2)).isoformat()}
    assert (await preview(tenant, **wanted, **later)).json()["reason"] == "skew"
    assert list(keys._shares._shares) == [tenant_id], "the trial is not its tenant's own"
    assert (dict(believed._shares._kept), set(believed._tasks)) == before, (
        "a trial takes a turn or a place from deliveries"
    )


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


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
@settings(
    max_examples=150,
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
