"""``tocsin limits``: what an operator sets holds, is shown, and is written down."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from app.cli.limits import app
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.settings import Settings
from tests.factories.ingest import committed_source
from tests.fixtures.commands import put_in_environment, run_command


@pytest.fixture(autouse=True)
def environment(settings: Settings, tenant_id: TenantId, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_environment(monkeypatch, settings, TOCSIN_TENANT=str(tenant_id))


@pytest.fixture
async def source(resources: Resources, tenant_id: TenantId) -> str:
    return str((await committed_source(resources, tenant_id)).source.id)


async def shown(*words: str) -> dict[str, Any]:
    code, output = await run_command(app, *words)
    assert code == 0, output
    # What the test's own processes log stands before it.
    found: dict[str, Any] = json.loads(output[output.index("{\n") :])
    return found


def set_of(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


async def trail(database: Database, tenant_id: TenantId) -> list[tuple[str, str, dict[str, Any], str]]:
    question = "select action, subject, detail, actor_kind from audit_entries where action like '%limits%' order by seq"
    async with tenant_session(database, tenant_id) as session:
        return [tuple(row) for row in (await session.execute(text(question))).all()]


async def test_a_tenants_limits_are_set_shown_and_replaced_as_a_whole(
    settings: Settings, database: Database, tenant_id: TenantId
) -> None:
    defaults = (await shown("show"))["effective"]
    assert defaults["deliveries_per_s"] == settings.limits.tenant_deliveries_per_s
    made = await shown("set-tenant", "--deliveries-per-s", "7.5", "--backlog", "99")
    assert set_of(made["own"]) == {"deliveries_per_s": 7.5, "backlog": 99}
    assert made["effective"] == defaults | {"deliveries_per_s": 7.5, "backlog": 99}
    assert await shown("show") == made
    replaced = await shown("set-tenant", "--bytes-per-s", "1000", "--alerts-per-min", "60")
    assert set_of(replaced["own"]) == {"bytes_per_s": 1000, "alerts_per_min": 60}
    assert replaced["effective"]["backlog"] == defaults["backlog"], "what is left out is the default again"
    assert set_of((await shown("set-tenant"))["own"]) == {}
    first = {"from": {}, "to": {"deliveries_per_s": 7.5, "backlog": 99}}
    written = await trail(database, tenant_id)
    assert written[0] == ("tenant.limits_changed", f"tenant:{tenant_id}", first, "operator")
    assert [entry[2]["to"] for entry in written[1:]] == [{"bytes_per_s": 1000.0, "alerts_per_min": 60.0}, {}]


async def test_a_sources_limits_are_set_and_shown_beside_its_tenants(
    source: str, database: Database, tenant_id: TenantId
) -> None:
    await shown("set-tenant", "--deliveries-per-s", "50")
    wanted = {
        "deliveries_per_s": 5.0,
        "bytes_per_s": 9000.0,
        "alerts_per_min": 30.0,
        "storm_opens": 4,
        "storm_window_s": 60.0,
        "storm_quiet_s": 90.0,
    }
    options = [word for name, value in wanted.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    made = await shown("set-source", source, *options)
    assert made["own"] == made["effective"] == wanted, "each option reaches its limit"
    assert made["tenant"]["deliveries_per_s"] == 50
    assert await shown("show", "--source", source) == made
    assert await trail(database, tenant_id) == [
        (
            "tenant.limits_changed",
            f"tenant:{tenant_id}",
            {"from": {}, "to": {"deliveries_per_s": 50.0}},
            "operator",
        ),
        ("source.limits_changed", f"source:{source}", {"from": {}, "to": wanted}, "operator"),
    ]


async def test_what_is_looser_or_nobodys_is_refused_in_one_line(source: str, other_tenant_id: TenantId) -> None:
    await shown("set-tenant", "--deliveries-per-s", "50")
    before = await shown("show", "--source", source)
    nobodys = new_id()
    for words, says in (
        (("set-source", source, "--deliveries-per-s", "51"), "the tenant may send 50"),
        (("set-source", str(nobodys), "--deliveries-per-s", "1"), "No such source"),
        (("show", "--source", str(nobodys)), "No such source"),
        (("show", "--source", source, "--tenant", str(other_tenant_id)), "No such source"),
        (("set-source", source, "--deliveries-per-s", "1", "--tenant", str(other_tenant_id)), "No such source"),
    ):
        code, output = await run_command(app, *words)
        assert (code, says in output.strip().splitlines()[-1]) == (1, True), output
    assert await shown("show", "--source", source) == before
