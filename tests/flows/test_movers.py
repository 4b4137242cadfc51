"""Real clients of the services that people move from, on the running stack: only their address differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import opsgenie_sdk  # type: ignore[import-untyped]
import pytest
from apprise import NotifyType

from tests.fixtures.movers import alias_request, apprise_for, opsgenie_client, pagerduty_client
from tests.fixtures.wait import wait_until
from tests.flows.conftest import FlowTenant

__all__ = ["apprise_for"]

ApprisesFor = Callable[[str, str], Any]
APPRISES_OWN = "ignore:'imghdr' is deprecated:DeprecationWarning"


async def source_key(flow: FlowTenant, kind: str) -> str:
    made = await flow.post("/v1/sources", {"kind": kind, "name": kind})
    key: str = made["secret"]
    return key


async def until(flow: FlowTenant, *states: str) -> list[dict[str, Any]]:
    """The incidents, oldest first, once their states are these."""

    async def reached() -> list[dict[str, Any]]:
        found = (await flow.incidents())[::-1]
        return found if [one["state"] for one in found] == list(states) else []

    return await wait_until(reached, timeout_s=20, every_s=0.1, what=f"the incidents are {states}")


async def test_pagerdutys_own_client(flow: FlowTenant) -> None:
    key_of_source = await source_key(flow, "pagerduty_events")
    with pagerduty_client(flow.stack.api_url, key_of_source) as client:
        links = [{"href": "https://wiki.example/disk", "text": "Runbook"}]
        key = await asyncio.to_thread(client.trigger, "Disk full on db-1", "db-1", severity="error", links=links)
        [incident] = await until(flow, "open")
        assert (incident["title"], incident["severity"]) == ("Disk full on db-1", "P1")
        assert await asyncio.to_thread(client.acknowledge, key) == key
        await until(flow, "acknowledged")
        await asyncio.to_thread(client.resolve, key)
        [resolved] = await until(flow, "resolved")
        assert resolved["resolved_by"] == "sender pagerduty_events"
        await asyncio.to_thread(client.send_change_event, {"summary": "Deployed", "source": "ci"})
        kinds = [entry["kind"] for entry in await flow.timeline(incident["id"])]
        assert kinds == ["incident.opened", "incident.acknowledged", "alert.resolved", "incident.resolved"]


async def test_opsgenies_own_sdk(flow: FlowTenant) -> None:
    key_of_source = await source_key(flow, "opsgenie_api")
    with opsgenie_client(flow.stack.api_url, key_of_source) as api:
        payload = opsgenie_sdk.CreateAlertPayload(
            message="Queue is deep", alias="queue 1/2", priority="P1", tags=["db"]
        )
        created = await asyncio.to_thread(api.create_alert, create_alert_payload=payload)
        assert (created.result, bool(created.request_id)) == ("Request will be processed", True)
        await until(flow, "open")
        status = await asyncio.to_thread(api.get_request_status, request_id=created.request_id)
        assert (status.data.is_success, status.data.alias) == (True, "queue 1/2")
        shown = await asyncio.to_thread(alias_request, api, "get_alert", "queue 1/2")
        assert (shown.data.id, shown.data.priority, shown.data.tags) == (status.data.alert_id, "P1", ["db"])
        note = opsgenie_sdk.AddNoteToAlertPayload(note="looking", user="ana")
        await asyncio.to_thread(alias_request, api, "add_note", "queue 1/2", add_note_to_alert_payload=note)
        await asyncio.to_thread(alias_request, api, "acknowledge_alert", "queue 1/2")
        await until(flow, "acknowledged")
        await asyncio.to_thread(api.close_alert, identifier=status.data.alert_id, identifier_type="id")
        [incident] = await until(flow, "resolved")
        notes = [entry for entry in await flow.timeline(incident["id"]) if entry["kind"] == "incident.note"]
        assert [entry["data"]["text"] for entry in notes] == ["ana: looking"]


@pytest.mark.filterwarnings(APPRISES_OWN)
async def test_apprises_pagerduty_sender(flow: FlowTenant, apprise_for: ApprisesFor) -> None:
    key = await source_key(flow, "pagerduty_events")
    sender = apprise_for(flow.stack.api_url, f"pagerduty://{key}@{'a' * 20}/db-1/disk?action=map")
    tell = sender.async_notify
    assert await tell(body="Disk full", notify_type=NotifyType.FAILURE)
    await until(flow, "open")
    assert await tell(body="Disk full", notify_type=NotifyType.SUCCESS)
    await until(flow, "resolved")


@pytest.mark.filterwarnings(APPRISES_OWN)
async def test_apprises_opsgenie_sender(flow: FlowTenant, apprise_for: ApprisesFor) -> None:
    key = await source_key(flow, "opsgenie_api")
    sender = apprise_for(flow.stack.api_url, f"opsgenie://{key}/?alias=backup")
    tell = sender.async_notify
    assert await tell(title="Backup", body="failed", notify_type=NotifyType.FAILURE)
    [incident] = await until(flow, "open")
    assert await tell(title="Backup", body="still failing", notify_type=NotifyType.INFO)
    assert await tell(title="Backup", body="done", notify_type=NotifyType.SUCCESS)
    await until(flow, "resolved")
    texts = [entry["data"].get("text") for entry in await flow.timeline(incident["id"])]
    assert "Apprise Notifications: still failing" in texts


async def test_a_formatted_webhook(flow: FlowTenant) -> None:
    key = await source_key(flow, "oncall")
    path = f"/integrations/v1/formatted_webhook/{key}/"
    alert = {"alert_uid": "u1", "title": "Disk full", "state": "alerting", "message": "97 %"}
    answer = await flow.api.post(path, json=alert)
    assert (answer.status_code, answer.text) == (200, "Ok.")
    await until(flow, "open")
    assert (await flow.api.post(path, json=alert | {"state": "ok"})).status_code == 200
    await until(flow, "resolved")
