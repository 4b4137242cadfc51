"""Heartbeats over the API and on the command line."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.cli.heartbeats import app
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from tests.factories.ingest import committed_source
from tests.fixtures.commands import run_command

Tokens = dict[Role, str]


async def make(
    api: httpx.AsyncClient, tokens: Tokens, resources: Resources, tenant_id: TenantId, **changes: object
) -> httpx.Response:
    source = await committed_source(resources, tenant_id)
    body = {"source_id": str(source.source.id), "name": "nightly", "interval_s": 3600, "grace_s": 60} | changes
    return await api.post("/v1/heartbeats", json=body, headers={"authorization": tokens[Role.ENGINEER]})


async def test_a_heartbeat_is_made_shown_changed_and_deleted_and_each_is_in_the_audit(
    api: httpx.AsyncClient, tokens: Tokens, resources: Resources, tenant_id: TenantId, database: Database
) -> None:
    made = (await make(api, tokens, resources, tenant_id)).json()
    assert (made["state"], made["severity"], made["beats"]) == ("new", "P1", 0)
    assert made["url_path"].endswith("/heartbeat/nightly")
    engineer, viewer = ({"authorization": tokens[role]} for role in (Role.ENGINEER, Role.VIEWER))
    path = f"/v1/heartbeats/{made['id']}"
    assert (await api.get(path, headers=viewer)).json() == made
    listed = (await api.get("/v1/heartbeats", params={"source_id": made["source_id"]}, headers=viewer)).json()
    assert listed["items"] == [made]
    changed = (await api.patch(path, json={"interval_s": 60, "severity": "P0"}, headers=engineer)).json()
    assert (changed["interval_s"], changed["grace_s"], changed["severity"]) == (60, 60, "P0")
    assert (await api.delete(path, headers=viewer)).status_code == 403
    assert (await api.delete(path, headers=engineer)).status_code == 204
    assert (await api.get(path, headers=viewer)).json()["code"] == "heartbeat.not_found"
    async with tenant_session(database, tenant_id) as session:
        statement = text("select action from audit_entries where action like 'heartbeat%' order by seq")
        assert list((await session.execute(statement)).scalars()) == [
            "heartbeat.created",
            "heartbeat.changed",
            "heartbeat.deleted",
        ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "With Space"}, "validation"),
        ({"name": "x" * 64}, "validation"),
        ({"interval_s": 0}, "validation"),
        ({"interval_s": 10**9}, "validation"),
        ({"grace_s": -1}, "validation"),
        ({"severity": "P9"}, "validation"),
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


run = partial(run_command, app)


@pytest.mark.usefixtures("environment")
async def test_the_command_line_does_the_same(resources: Resources, tenant_id: TenantId) -> None:
    source = await committed_source(resources, tenant_id)
    code, shown = await run("create", str(source.source.id), "nightly", "--every-s", "60")
    assert code == 0, shown
    assert "/heartbeat/nightly" in shown
    heartbeat_id = shown.partition(", id ")[2].partition(".")[0]
    assert "new" in (await run("list"))[1]
    assert "paused" in (await run("pause", heartbeat_id))[1]
    assert "new" in (await run("resume", heartbeat_id))[1]
    code, refused = await run("create", str(source.source.id), "Bad Name", "--every-s", "60")
    assert code == 2
    assert "name" in refused
    assert (await run("delete", heartbeat_id))[0] == 0
    assert heartbeat_id not in (await run("list"))[1]
