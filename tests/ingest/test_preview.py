"""Trying a kind and its settings on a payload: by the API and by command, with nothing stored."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from app.cli.sources import app as sources
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from tests.fixtures.commands import run_command
from tests.ingest.test_endpoints import Tokens, auth

SETTINGS = {
    "title": "{{ check }} on {{ host }}",
    "dedup": ["host", "check"],
    "severity": "sev",
    "labels": {"host": "host", "owner": "team.owner"},
    "ignore": [{"when": "test", "reason": "a test"}],
    "url": "link",
}
PAYLOAD = [
    {"host": "a", "check": "disk", "sev": "Hoch", "link": "https://a.example/1", "at": 1},
    {"host": "b", "check": "disk", "link": "javascript:alert(1)"},
    {"host": "c", "test": True},
]


async def ask(api: httpx.AsyncClient, tokens: Tokens, **body: Any) -> httpx.Response:
    wanted = {"kind": "generic", "config": SETTINGS, "body": orjson.dumps(PAYLOAD).decode()}
    return await api.post("/v1/sources/preview", json=wanted | body, headers=auth(tokens))


async def test_each_alert_is_shown_as_it_would_be(api: httpx.AsyncClient, tokens: Tokens) -> None:
    answer = await ask(api, tokens, severity_map={"Hoch": "P0"}, default_severity="P3", group_by=["host"])
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    first, second = shown["events"]
    assert (first["title"], first["severity"], first["raw_severity"]) == ("disk on a", "P0", "Hoch")
    assert (first["group"], first["labels"]) == ({"host": "a"}, {"host": "a"})
    assert first["links"] == [{"title": "Source", "url": "https://a.example/1"}]
    assert first["unfound"] == ["labels.owner"]
    assert (second["severity"], second["links"]) == ("P3", [])
    assert set(second["unfound"]) == {"severity", "labels.owner"}
    assert any("not http" in warning for warning in second["warnings"])
    assert (shown["alerts"], shown["notes"], shown["error"]) == (2, ["no alert: a test"], None)


async def test_a_word_that_the_table_lacks_is_said(api: httpx.AsyncClient, tokens: Tokens) -> None:
    (first, _) = (await ask(api, tokens)).json()["events"]
    assert first["severity"] == "P2"
    assert any("hoch" in warning.lower() for warning in first["warnings"])


async def test_headers_come_with_the_payload(api: httpx.AsyncClient, tokens: Tokens) -> None:
    config = {"title": "{{ name }} in {{ header('x-region') }}"}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Region": "eu"}
    answer = await ask(api, tokens, config=config, body="name=shop&id=1", headers=headers)
    assert [event["title"] for event in answer.json()["events"]] == ["shop in eu"]


async def test_wrong_settings_name_the_field_and_the_place(api: httpx.AsyncClient, tokens: Tokens) -> None:
    answer = await ask(api, tokens, config={"labels": {"host": "a ||"}})
    assert (answer.status_code, answer.json()["code"]) == (422, "source.config_invalid")
    assert answer.json()["detail"].startswith("labels.host: at character 5: it ends too early")


async def test_the_same_fault_is_refused_when_it_is_saved(api: httpx.AsyncClient, tokens: Tokens) -> None:
    body = {"kind": "generic", "name": "wrong", "config": {"title": "match(a, '(?=b)')"}}
    answer = await api.post("/v1/sources", json=body, headers=auth(tokens))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("title: at character 1: the pattern of match cannot be used")


async def test_it_shows_no_more_than_a_hundred_and_stores_nothing(
    api: httpx.AsyncClient, tokens: Tokens, resources: Resources, tenant_id: TenantId
) -> None:
    many = orjson.dumps([{"id": n, "title": "x"} for n in range(150)]).decode()
    shown = (await ask(api, tokens, config={}, body=many)).json()
    assert (len(shown["events"]), shown["alerts"]) == (100, 150)
    async with tenant_session(resources.get(Database), tenant_id) as session:
        for table in ("sources", "deliveries", "alerts", "incidents"):
            assert (await session.execute(text(f"select count(*) from {table}"))).scalar_one() == 0


@pytest.mark.parametrize("kind", ["email", "alertmanager", "cloudevents"])
async def test_every_kind_can_be_tried(api: httpx.AsyncClient, tokens: Tokens, kind: str) -> None:
    bodies = {
        "email": "From: a@b.example\nAuto-Submitted: auto-replied\nSubject: x\n\n",
        "alertmanager": '{"version": "4", "alerts": []}',
        "cloudevents": '{"specversion": "1.0", "id": "1", "source": "/a"}',
    }
    shown = (await ask(api, tokens, kind=kind, config={}, body=bodies[kind])).json()
    said = {"email": shown["notes"], "alertmanager": [shown["error"]], "cloudevents": [shown["error"]]}
    expected = {
        "email": ["no alert: an automatic answer (Auto-Submitted: auto-replied)"],
        "alertmanager": [None],
        "cloudevents": ["event.invalid"],
    }
    assert said[kind] == expected[kind]


run = partial(run_command, sources)


async def test_by_command_from_files(tmp_path: Path) -> None:
    payload, settings = tmp_path / "payload.json", tmp_path / "settings.json"
    payload.write_bytes(orjson.dumps(PAYLOAD))
    settings.write_bytes(orjson.dumps(SETTINGS))
    code, shown = await run(
        *("preview", "generic", str(payload), "--config", f"@{settings}"), "--severities", '{"hoch": "P0"}'
    )
    assert code == 0, shown
    assert "P0 (the sender says 'Hoch')" in shown
    assert "labels.owner" in shown
    assert "no alert: a test" in shown
    assert "2 alerts." in shown


async def test_by_command_what_is_refused_and_what_is_wrong() -> None:
    code, shown = await run("preview", "generic", stdin="nope")
    assert (code, "body.not_json" in shown) == (1, True)
    code, shown = await run("preview", "generic", "--config", '{"title": "$.a"}', stdin="{}")
    assert (code, "title: at character 1" in shown) == (2, True)
    code, shown = await run("preview", "generik", stdin="{}")
    assert (code, "Did you mean generic" in shown) == (2, True)
    code, shown = await run("preview", "generic", "/nowhere.json")
    assert (code, "cannot be read" in shown) == (2, True)


async def test_by_command_a_strangers_text_moves_no_cursor() -> None:
    hostile = orjson.dumps({"title": "\x1b[31mred [bold]x[/bold]", "id": 1, "description": "\x1b]8;;x\x07"}).decode()
    code, shown = await run("preview", "generic", stdin=hostile)
    assert code == 0
    assert "\x1b" not in shown
    assert "[bold]x[/bold]" in shown
