"""Incidents on the command line."""

from __future__ import annotations

import re

import pytest

from app.cli.incidents import app
from app.core.actor import Actor
from app.core.clock import FakeClock
from app.core.ids import IncidentId, TenantId
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.incidents.service import add_note
from app.settings import Settings
from tests.fixtures.commands import put_in_environment, run_command
from tests.incidents.conftest import Opener


async def test_a_long_story_is_told_from_its_end(
    opens: Opener,
    ana: Actor,
    settings: Settings,
    database: Database,
    tenant_id: TenantId,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_in_environment(monkeypatch, settings, TOCSIN_TENANT=str(tenant_id))
    incident = await opens()
    async with tenant_session(database, tenant_id) as session:
        for number in range(60):
            text = f"looked {number} times"
            await add_note(
                session, incident_id=IncidentId(incident.id), text=text, actor=ana, reason="", now=clock.now()
            )
    code, shown = await run_command(app, "show", str(incident.number))
    assert code == 0, shown
    assert [int(number) for number in re.findall(r"looked (\d+) times", shown)] == list(range(10, 60))
