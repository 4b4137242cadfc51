"""C01 to C08: one tenant's token and another tenant's ids, rows, names and figures."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest

from app.auth.rules import Role
from app.core.ids import new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.main import Application, create_app
from app.observability.metrics import REGISTRY
from app.settings import Settings
from tests.factories.access import make_tokens
from tests.fixtures.database import make_tenant
from tests.tenancy.test_cross_tenant_sweep import DESK, KNOWLEDGE, RULE, RUNBOOK, TARGET, Seeded, ask, neutral, seed

SCHEMAS = "#/components/schemas/"


@pytest.fixture
async def two(scratch_resources: Resources, scratch_database: Database) -> AsyncIterator[Seeded]:
    """Tenant B with one of everything, tenant A with a token and nothing else."""
    application = create_app(scratch_resources.get(Settings), scratch_resources)
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    clients = []
    for _ in "ab":
        token = (await make_tokens(scratch_resources, await make_tenant(scratch_database)))[Role.ADMIN]
        headers = {"Authorization": token}
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://tocsin.test", headers=headers))
    async with clients[0] as a, clients[1] as b:
        yield Seeded(application, a, b, await seed(b, scratch_resources))


def given(two: Seeded, path: str) -> str:
    return two.ids[path.partition("{")[2].partition("}")[0]]


async def tenant_of(client: httpx.AsyncClient) -> str:
    return str((await client.get("/v1/me")).json()["tenant_id"])


@pytest.mark.attack("C01", "C23")
async def test_every_operation_with_anothers_id_is_a_random_id(two: Seeded) -> None:
    """Jobs, receipts and runs among them: nobody follows another tenant's work."""
    operations = two.operations()
    assert {"/v1/jobs/{job_id}", "/v1/receipts/{receipt_id}", "/v1/runs/{run_id}"} <= {path for _, path in operations}
    for method, path in operations:
        random = "no-such-runbook" if "{name}" in path else str(new_id())
        theirs = neutral(await ask(two.a, method, path, given(two, path)), given(two, path))
        nobodys = neutral(await ask(two.a, method, path, random), random)
        assert theirs == nobodys, f"{method} {path}"
        assert theirs[0] == 404, f"{method} {path}: {theirs}"


@pytest.mark.attack("C02")
@pytest.mark.parametrize("where", ["header", "query", "path", "body"])
async def test_a_tenant_named_in_the_request_is_not_believed(two: Seeded, where: str) -> None:
    theirs = await tenant_of(two.b)
    if where == "header":
        names = ("x-tenant-id", "tenant-id", "x-org-id", "tenantid", "x-tocsin-tenant", "x-forwarded-user")
        answer = await two.a.get("/v1/sources", headers=dict.fromkeys(names, theirs))
        assert (answer.status_code, answer.json()["items"]) == (200, [])
        assert (await two.a.get("/v1/me", headers=dict.fromkeys(names, theirs))).json()["tenant_id"] != theirs
    elif where == "query":
        for path in ("/v1/sources", "/v1/jobs", "/v1/runs", "/v1/audit", "/v1/tokens"):
            answer = await two.a.get(path, params={"tenant_id": theirs, "tenant": theirs})
            assert answer.status_code == 422 or theirs not in answer.text
            assert all(found not in answer.text for name, found in two.ids.items() if name != "name")
    elif where == "path":
        for path in (f"/v1/tenants/{theirs}/sources", f"/v1/{theirs}/sources", f"/{theirs}/v1/sources"):
            assert (await two.a.get(path)).status_code == 404
    else:
        answer = await two.a.post("/v1/knowledge", json={**KNOWLEDGE, "tenant_id": theirs})
        assert answer.status_code == 422
        assert len((await two.b.get("/v1/knowledge")).json()["items"]) == 1


def body_schemas(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            schema = content.get("application/json", {}).get("schema", {})
            for option in [schema, *schema.get("anyOf", [])]:
                if "$ref" in option and path.startswith("/v1/"):
                    name = option["$ref"].removeprefix(SCHEMAS)
                    yield f"{method.upper()} {path}", document["components"]["schemas"][name]


@pytest.mark.attack("C03")
def test_no_body_of_the_api_takes_fields_that_it_does_not_name(application: Application) -> None:
    found = list(body_schemas(application.api.openapi()))
    assert len(found) >= 20
    open_ended = [where for where, schema in found if schema.get("additionalProperties") is not False]
    assert open_ended == []


@pytest.mark.attack("C03")
@pytest.mark.parametrize(
    "more",
    [
        {"tenant_id": "00000000-0000-0000-0000-000000000000"},
        {"id": "00000000-0000-0000-0000-000000000000"},
        {"role": "admin"},
        {"created_by": "root"},
        {"state": "deleted"},
        {"public_id": "a" * 26},
        {"has_secret": True},
    ],
    ids=lambda more: next(iter(more)),
)
async def test_a_field_that_is_ours_to_set(
    api: httpx.AsyncClient, tokens: dict[Role, str], more: dict[str, Any]
) -> None:
    headers = {"authorization": tokens[Role.ADMIN]}
    for path, body in (
        ("/v1/sources", {"kind": "generic", "name": "x"}),
        ("/v1/targets", TARGET),
        ("/v1/runbook-rules", RULE),
        ("/v1/desks", DESK),
        ("/v1/knowledge", KNOWLEDGE),
        ("/v1/runbooks", {"source": RUNBOOK}),
        ("/v1/tokens", {"name": "x", **({} if "role" in more else {"role": "viewer"})}),
    ):
        if path == "/v1/tokens" and "role" in more:
            continue
        answer = await api.post(path, json={**body, **more}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation"), f"{path}: {answer.text}"
    listed = await api.get("/v1/sources", headers=headers)
    assert listed.json()["items"] == []


MY_DESK = {**DESK, "name": "mine"}
MY_RUN = {"runbook": "of-tenant-b", "targets": {"service": "t"}}
# Every field of a body that holds an id, with the rest of a body that is taken when the id is the caller's own.
LINKED: dict[tuple[str, str], dict[str, Any]] = {
    ("POST /v1/heartbeats", "source_id"): {"name": "mine", "interval_s": 60},
    ("POST /v1/checks", "source_id"): {"name": "mine", "url": "http://127.0.0.1:9/"},
    ("POST /v1/replays", "source_id"): {},
    ("POST /v1/desks", "source_id"): MY_DESK,
    # On a target of its own, as the seed's run is still on the other.
    ("POST /v1/runs", "incident_id"): {**MY_RUN, "targets": {"service": "mine"}},
    ("POST /v1/feedback", "enhancement_id"): {"rating": 5},
}
# By names, which tenants share.
NAMED: list[tuple[str, dict[str, Any]]] = [
    ("POST /v1/runs", {"runbook": "http-service-recovery", "targets": {"service": "t"}}),
    ("POST /v1/runs", MY_RUN),
    ("POST /v1/runbook-rules", RULE),
    ("POST /v1/feedback", {"rating": 5, "ticket_id": "77"}),
]


def fields_of(document: dict[str, Any], schema: Any, seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    """The fields of a body by name, however deep."""
    if isinstance(schema, list):
        for part in schema:
            yield from fields_of(document, part, seen)
    elif isinstance(schema, dict):
        name = schema.get("$ref", "").removeprefix(SCHEMAS)
        if name and name not in seen:
            yield from fields_of(document, document["components"]["schemas"][name], seen | {name})
        yield from schema.get("properties", {}).items()
        for key in ("anyOf", "oneOf", "allOf", "items", "additionalProperties"):
            yield from fields_of(document, schema.get(key), seen)
        yield from fields_of(document, list(schema.get("properties", {}).values()), seen)


@pytest.mark.attack("C04", "C08")
def test_every_id_that_a_body_can_name_is_tried(application: Application) -> None:
    document, found = application.api.openapi(), set()
    for where, schema in body_schemas(document):
        for name, field in fields_of(document, schema):
            if name.endswith(("_id", "_ids")) or "'uuid'" in repr(field):
                found.add((where, name))
    named = {(where, name) for where, body in NAMED for name in body if name.endswith("_id")}
    assert found == set(LINKED) | named, "an id that no test tries, or one that is gone"


@pytest.mark.attack("C04", "C08")
async def test_a_row_of_mine_that_names_a_row_of_theirs(two: Seeded, scratch_resources: Resources) -> None:
    """The answer is the one for an id that does not exist; with an id of my own, the same body is taken."""
    # Or its next question would be due for ever by the tests' clock, while A's jobs are worked off.
    assert (await two.b.patch(f"/v1/checks/{two.ids['check_id']}", json={"paused": True})).status_code == 200
    mine = await seed(two.a, scratch_resources)
    assert (await two.a.post("/v1/targets", json={**TARGET, "name": "mine"})).status_code == 201
    for (operation, field), body in LINKED.items():
        method, path = operation.split()
        random, before = str(new_id()), await theirs_now(two)
        theirs, nobodys, own = [
            await two.a.request(method, path, json=body | {field: value})
            for value in (two.ids[field], random, mine[field])
        ]
        assert theirs.status_code == 404, f"{operation}: {theirs.status_code} {theirs.text}"
        assert neutral(theirs, two.ids[field]) == neutral(nobodys, random), operation
        assert await theirs_now(two) == before, operation
        assert own.status_code in (200, 201, 202), f"{operation} is refused for another reason than the id: {own.text}"


async def theirs_now(two: Seeded) -> list[Any]:
    """What tenant B has of everything that a link could add."""
    paths = ("/v1/heartbeats", "/v1/checks", "/v1/replays", "/v1/desks", "/v1/runs", "/v1/feedback/stats")
    return [(await two.b.get(path)).json() for path in paths]


@pytest.mark.attack("C04", "C08")
@pytest.mark.parametrize("index", range(len(NAMED)))
async def test_a_row_of_mine_that_names_theirs_by_name(two: Seeded, index: int) -> None:
    (method, path), body = NAMED[index][0].split(), NAMED[index][1]
    answer = await two.a.request(method, path, json=body)
    assert answer.status_code in (404, 409, 422), f"{path}: {answer.status_code} {answer.text}"
    assert (await two.a.get("/v1/runs")).json()["items"] == []


@pytest.mark.attack("C06")
async def test_lists_figures_and_metrics_show_nothing_of_theirs(two: Seeded) -> None:
    paths = two.application.api.openapi()["paths"]
    known = {value for name, value in two.ids.items() if name != "name"} | {await tenant_of(two.b), "of-tenant-b"}
    open_paths = [path for path, item in paths.items() if "{" not in path and "get" in item]
    assert len(open_paths) >= 18
    for path in open_paths:
        answer = await two.a.get(path)
        assert {value for value in known if value in answer.text} == set(), path
    stats = (await two.a.get("/v1/feedback/stats")).json()
    assert (stats["count"], stats["by_day"]) == (0, [])
    shown = generate_latest(REGISTRY).decode()
    assert {value for value in known if value in shown} == set()
    assert 'tenant="' not in shown


@pytest.mark.attack("C06")
async def test_a_filter_by_their_ids_finds_nothing(two: Seeded) -> None:
    for path, field, name in (
        ("/v1/incidents", "source", "source_id"),
        ("/v1/alerts", "incident", "incident_id"),
        ("/v1/deliveries", "source_id", "source_id"),
        ("/v1/runs", "incident_id", "incident_id"),
    ):
        theirs = await two.a.get(path, params={field: two.ids[name]})
        nobodys = await two.a.get(path, params={field: str(new_id())})
        assert (theirs.status_code, theirs.json()) == (200, nobodys.json()), path
        if path in ("/v1/alerts", "/v1/deliveries"):
            assert (await two.b.get(path, params={field: two.ids[name]})).json()["items"] != [], "nothing to find"


@pytest.mark.attack("C07")
async def test_a_name_that_they_use_is_free_for_me(two: Seeded) -> None:
    """Everything that has a unique name; a refusal would tell that they have it."""
    for path, body in (
        ("/v1/sources", {"kind": "alertmanager", "name": "am", "profile": "bearer"}),
        ("/v1/targets", TARGET),
        ("/v1/runbooks", {"source": RUNBOOK}),
        ("/v1/runbook-rules", RULE),
        ("/v1/desks", DESK),
        ("/v1/tokens", {"name": "second", "role": "viewer"}),
    ):
        assert (await two.a.post(path, json=body)).status_code == 201, path
    # One key for a repeated write is each tenant's own as well.
    key = {"Idempotency-Key": "k"}
    answers = [await who.post("/v1/knowledge", json=KNOWLEDGE, headers=key) for who in (two.a, two.b)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert json.loads(answers[0].content)["id"] != json.loads(answers[1].content)["id"]
