"""Checks over the API and on the command line."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.cli.checks import app
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.settings import Settings
from tests.factories.ingest import committed_source
from tests.fixtures.commands import run_command

Tokens = dict[Role, str]
URL = "https://shop.example/health"


async def make(
    api: httpx.AsyncClient, tokens: Tokens, resources: Resources, tenant_id: TenantId, **changes: object
) -> httpx.Response:
    source = await committed_source(resources, tenant_id)
    body = {"source_id": str(source.source.id), "name": "shop", "url": URL} | changes
    return await api.post("/v1/checks", json=body, headers={"authorization": tokens[Role.ENGINEER]})


async def test_a_check_is_made_shown_changed_and_deleted_and_each_is_in_the_audit(
    api: httpx.AsyncClient, tokens: Tokens, resources: Resources, tenant_id: TenantId, database: Database
) -> None:
    made = (await make(api, tokens, resources, tenant_id)).json()
    assert (made["state"], made["severity"], made["interval_s"], made["expected_status"]) == ("new", "P1", 60, None)
    engineer, viewer = ({"authorization": tokens[role]} for role in (Role.ENGINEER, Role.VIEWER))
    path = f"/v1/checks/{made['id']}"
    assert (await api.get(path, headers=viewer)).json() == made
    listed = (await api.get("/v1/checks", params={"source_id": made["source_id"]}, headers=viewer)).json()
    assert listed["items"] == [made]
    changes = {"interval_s": 30, "severity": "P0", "expected_status": 204}
    changed = (await api.patch(path, json=changes, headers=engineer)).json()
    assert (changed["interval_s"], changed["severity"], changed["expected_status"]) == (30, "P0", 204)
    changed = (await api.patch(path, json={"expected_status": None, "paused": True}, headers=engineer)).json()
    assert (changed["expected_status"], changed["state"], changed["url"]) == (None, "paused", URL)
    assert (await api.delete(path, headers=viewer)).status_code == 403
    assert (await api.delete(path, headers=engineer)).status_code == 204
    assert (await api.get(path, headers=viewer)).json()["code"] == "check.not_found"
    async with tenant_session(database, tenant_id) as session:
        statement = text("select action from audit_entries where action like 'check.%' order by seq")
        done = list((await session.execute(statement)).scalars())
    assert done == ["check.created", "check.changed", "check.changed", "check.deleted"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "With Space"}, "validation"),
        ({"interval_s": 9}, "validation"),
        ({"timeout_s": 11}, "validation"),
        ({"expected_status": 99}, "validation"),
        ({"fails_after": 0}, "validation"),
        ({"url": "ftp://shop.example/"}, "validation"),
        ({"url": "https://user:password@shop.example/"}, "validation"),
        ({"url": "https://0x7f.1/"}, "validation"),
        ({"unknown": 1}, "validation"),
        ({"source_id": str(uuid4())}, "source.not_found"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    api: httpx.AsyncClient,
    tokens: Tokens,
    resources: Resources,
    tenant_id: TenantId,
    changes: dict[str, object],
    code: str,
) -> None:
    answer = await make(api, tokens, resources, tenant_id, **changes)
    assert answer.status_code in (404, 422)
    assert answer.json()["code"] == code


async def test_names_are_taken_once_and_checks_are_limited(
    api: httpx.AsyncClient, tokens: Tokens, resources: Resources, tenant_id: TenantId
) -> None:
    made = (await make(api, tokens, resources, tenant_id)).json()
    engineer = {"authorization": tokens[Role.ENGINEER]}
    body = {"source_id": made["source_id"], "name": "shop", "url": URL}
    assert (await api.post("/v1/checks", json=body, headers=engineer)).json()["code"] == "check.name_taken"
    settings = resources.get(Settings)
    ingest = settings.ingest.model_copy(update={"checks_max": 1})
    resources.provide(Settings, settings.model_copy(update={"ingest": ingest}))
    answer = await api.post("/v1/checks", json=body | {"name": "other"}, headers=engineer)
    assert answer.json()["code"] == "check.too_many"
    assert (await api.post("/v1/checks", json=body, headers=engineer)).json()["code"] == "check.name_taken"
    assert len((await api.get("/v1/checks", headers=engineer)).json()["items"]) == 1, "one too many is not kept"


@pytest.mark.usefixtures("environment")
async def test_the_command_line_does_the_same(resources: Resources, tenant_id: TenantId) -> None:
    source = str((await committed_source(resources, tenant_id)).source.id)
    code, shown = await run_command(app, "create", source, "shop", URL, "--every-s", "30", "--text", "well")
    assert code == 0, shown
    check_id = shown.partition("(")[2].partition(")")[0]
    assert URL in (await run_command(app, "list"))[1]
    assert "paused" in (await run_command(app, "pause", check_id))[1]
    assert "new" in (await run_command(app, "resume", check_id))[1]
    code, refused = await run_command(app, "create", source, "other", "https://user:password@shop.example/")
    assert code == 2
    assert "url" in refused
    assert (await run_command(app, "delete", check_id))[0] == 0
    assert check_id not in (await run_command(app, "list"))[1]
