"""Profiles of a tenant's own: tried before they are trusted, given to a source, and used on the route."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from app.auth.rules import Role
from app.core.clock import FakeClock
from tests.factories.ingest import alert_body
from tests.ingest.verification.conftest import Tenant, Tokens, document, mac, preview
from tests.net.signing.senders import hex_mac


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
