"""How strongly a delivery was proved, and what was refused and why, for the tenant alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.ingest.hot import VERIFIED
from app.net.signing.mtls_check import CONSENT
from tests.factories.ingest import alert_body
from tests.fixtures.wait import wait_until
from tests.ingest.verification.conftest import Tenant, preview


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
