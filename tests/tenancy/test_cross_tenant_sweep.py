"""Another tenant's id is a random id: every operation of the OpenAPI document that takes one answers both alike.

The operations come from the document itself, so a new endpoint is swept as soon as it exists, and fails here until the
seed has an id for its parameter.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.auth.rules import Role
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.main import Application, create_app
from app.settings import Settings
from tests.factories.access import make_tokens
from tests.factories.ingest import alert_body
from tests.factories.runbooks import make_looking_runbook
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs

METHODS = ("get", "post", "put", "patch", "delete")
# Not a tenant's token's business: operators act across tenants by design, and a source's address is its own credential, as
# is the key of a sender that was made for another service (tests/ingest/dropin asks those for others' alerts).
ELSEWHERE = ("/v1/admin/tenants/", "/v1/signature-profiles/", "/in/", "/v2/", "/integrations/")
RUNBOOK = make_looking_runbook("of-tenant-b")
RULE = {"name": "r", "match": {"alert": ["X"]}, "runbook": "of-tenant-b", "targets": {"service": "t"}}
TARGET = {"name": "t", "kind": "http", "connection": {"base_url": "http://127.0.0.1:9"}}
KNOWLEDGE = {"title": "t", "body": "b"}
DESK = {"kind": "servicedesk", "name": "d", "base_url": "http://127.0.0.1:9", "secret": "k" * 20}
BODIES: dict[str, Any] = {
    "PATCH /v1/sources/{source_id}": {"name": "stolen"},
    "POST /v1/sources/{source_id}/rotate-secret": {},
    "POST /v1/sources/{source_id}/secrets": {},
    "PUT /v1/sources/{source_id}/profile": {"profile": "bearer"},
    "PUT /v1/sources/{source_id}/limits": {"deliveries_per_s": 5},
    "PATCH /v1/heartbeats/{heartbeat_id}": {"paused": True},
    "PATCH /v1/checks/{check_id}": {"paused": True},
    "POST /v1/incidents/{incident_id}/assign": {"assignee": "me"},
    "POST /v1/incidents/{incident_id}/notes": {"text": "hello"},
    "PUT /v1/targets/{target_id}": TARGET,
    "PUT /v1/runbook-rules/{rule_id}": {**RULE, "runbook": "http-service-recovery"},
    "POST /v1/runs/{run_id}/cancel": {},
    "POST /v1/runs/{run_id}/approve": {"step": "s", "plan_digest": "0" * 64, "decision": "approve"},
    "PUT /v1/knowledge/{entry_id}": KNOWLEDGE,
    "PATCH /v1/desks/{desk_id}": {"name": "stolen"},
    "POST /v1/sources/{source_id}/time-travel": {"group_by": ["service"]},
}


@dataclass
class Seeded:
    """The application, two tenants' admin headers, and the ids of what tenant B has."""

    application: Application
    a: httpx.AsyncClient
    b: httpx.AsyncClient
    ids: dict[str, str]

    def operations(self) -> list[tuple[str, str]]:
        found = []
        for path, item in self.application.api.openapi()["paths"].items():
            if "{" in path and not path.startswith(ELSEWHERE):
                found += [(method.upper(), path) for method in item if method in METHODS]
        return found


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, f"{path}: {answer.status_code} {answer.text}"
    found: dict[str, Any] = answer.json()
    return found


async def seed(b: httpx.AsyncClient, resources: Resources) -> dict[str, str]:
    """This will give tenant B one of everything, by its own API, and return the ids by parameter name."""
    source = await post(b, "/v1/sources", {"kind": "alertmanager", "name": "am", "profile": "bearer"})
    tickets = await post(b, "/v1/sources", {"kind": "servicedesk", "name": "desk", "profile": "bearer"})
    ids = {
        "source_id": source["source"]["id"],
        "secret_id": source["secret_id"],
        "desk_id": (await post(b, "/v1/desks", DESK))["id"],
    }
    beat = {"source_id": ids["source_id"], "name": "nightly", "interval_s": 60}
    ids["heartbeat_id"] = (await post(b, "/v1/heartbeats", beat))["id"]
    ids["entry_id"] = (await post(b, "/v1/knowledge", KNOWLEDGE))["id"]
    ids["token_id"] = (await post(b, "/v1/tokens", {"name": "second", "role": "viewer"}))["id"]
    ids["target_id"] = (await post(b, "/v1/targets", TARGET))["id"]
    ids["name"] = (await post(b, "/v1/runbooks", {"source": RUNBOOK}))["name"]
    ids["rule_id"] = (await post(b, "/v1/runbook-rules", RULE))["id"]
    ticket = json.dumps({"event": "created", "request": {"id": "77", "subject": "s", "description": "d"}}).encode()
    for made, body in ((source, alert_body()), (tickets, ticket)):
        headers = {"Authorization": f"Bearer {made['secret']}", "Content-Type": "application/json"}
        accepted = await b.post(made["source"]["url_path"], content=body, headers=headers)
        assert accepted.status_code == 202, accepted.text
        ids["receipt_id"] = ids["delivery_id"] = accepted.json()["receipt_id"]
    trial = await b.post(f"/v1/sources/{ids['source_id']}/time-travel", json={"group_by": ["service"]})
    ids["trial_id"] = trial.json()["id"]
    ids["replay_id"] = (await b.post("/v1/replays", json={})).json()["id"]
    run = {"runbook": "of-tenant-b", "targets": {"service": "t"}}
    ids["run_id"] = (await post(b, "/v1/runs", run))["id"]
    await run_jobs(resources)
    # After the jobs: by the clock of the tests, which is far ahead, the next question would be due at once for ever.
    check = {"source_id": ids["source_id"], "name": "shop", "url": "http://127.0.0.1:9/"}
    ids["check_id"] = (await post(b, "/v1/checks", check))["id"]
    for name, path in {
        "incident_id": "/v1/incidents",
        "alert_id": "/v1/alerts",
        "job_id": "/v1/jobs",
        "enhancement_id": "/v1/enhancements",
    }.items():
        items = (await b.get(path)).json()["items"]
        assert items, f"tenant B has nothing at {path}"
        ids[name] = items[0]["id"]
    return ids


@pytest.fixture
async def seeded(scratch_resources: Resources, scratch_database: Database) -> AsyncIterator[Seeded]:
    application = create_app(scratch_resources.get(Settings), scratch_resources)
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)

    async def client_of(tenant: TenantId) -> httpx.AsyncClient:
        headers = {"Authorization": (await make_tokens(scratch_resources, tenant))[Role.ADMIN]}
        return httpx.AsyncClient(transport=transport, base_url="http://tocsin.test", headers=headers)

    async with (
        await client_of(await make_tenant(scratch_database)) as a,
        await client_of(await make_tenant(scratch_database)) as b,
    ):
        yield Seeded(application, a, b, await seed(b, scratch_resources))
    await application.settle()


def neutral(answer: httpx.Response, given: str) -> tuple[int, Any, dict[str, str]]:
    """An answer without what names the request itself."""
    body = answer.json() if answer.content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
        body = json.loads(json.dumps(body).replace(given, "<id>"))
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    return answer.status_code, body, headers


def parameter(path: str) -> str:
    names = re.findall(r"{(\w+)}", path)
    assert len(names) == 1, f"{path} has several parameters: teach the sweep to vary each"
    return str(names[0])


async def ask(client: httpx.AsyncClient, method: str, path: str, given: str) -> httpx.Response:
    body = BODIES.get(f"{method} {path}")
    url = path.replace("{" + parameter(path) + "}", given)
    return await client.request(method, url, json=body)


async def test_another_tenants_id_answers_as_a_random_one(seeded: Seeded) -> None:
    operations = seeded.operations()
    assert len(operations) >= 35, "the document has lost operations"
    for method, path in operations:
        name = parameter(path)
        assert name in seeded.ids, f"{method} {path}: the seed has no {name}; add one to `seed`"
        random = "no-such-runbook" if name == "name" else str(new_id())
        theirs = neutral(await ask(seeded.a, method, path, seeded.ids[name]), seeded.ids[name])
        nobodys = neutral(await ask(seeded.a, method, path, random), random)
        assert theirs[0] == 404, f"{method} {path} answers {theirs[0]} for another tenant's id: {theirs[1]}"
        assert theirs == nobodys, f"{method} {path} tells another tenant's id from a random one"


async def test_the_seeds_ids_are_real(seeded: Seeded) -> None:
    """Otherwise the sweep would compare one random id with another."""
    for method, path in seeded.operations():
        if method == "GET":
            answer = await ask(seeded.b, method, path, seeded.ids[parameter(path)])
            if path.endswith("/storm"):  # B's incident is no storm's, and says so with a code of its own
                assert answer.json()["code"] == "incident.no_storm"
            else:
                assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"


async def test_lists_show_nothing_of_another_tenant(seeded: Seeded) -> None:
    paths = seeded.application.api.openapi()["paths"]
    lists = [path for path, item in paths.items() if "{" not in path and "get" in item and path.startswith("/v1/")]
    assert len(lists) >= 14
    known = {value for name, value in seeded.ids.items() if name != "name"}
    for path in lists:
        answer = await seeded.a.get(path)
        assert answer.status_code in (200, 401, 422), f"{path}: {answer.status_code} {answer.text}"
        shown = {value for value in known if value in answer.text}
        assert shown == set(), f"{path} shows tenant A ids of tenant B: {shown}"


async def test_a_tenants_token_is_no_operators(seeded: Seeded) -> None:
    answer = await seeded.a.post(f"/v1/admin/tenants/{new_id()}/isolate", json={"reason": "curious"})
    assert answer.status_code == 401
