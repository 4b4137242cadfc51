"""Incidents and alerts over HTTP: success and refusal on the same set-up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.core.ids import IncidentId, TenantId, new_id
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.incidents.schemas import Severity
from app.incidents.service import assign_incident
from tests.factories.incidents import deliver, make_event, make_resolve, make_source
from tests.incidents.conftest import Opener, Tokens, ids_of

MINUTE = timedelta(minutes=1)


async def test_an_incident_is_read_with_its_alerts_and_its_timeline(
    api: httpx.AsyncClient, opens: Opener, viewer: dict[str, str]
) -> None:
    incident = await opens(severity=Severity.P1)
    path = f"/v1/incidents/{incident.id}"
    body = (await api.get(path, headers=viewer)).json()
    assert (body["number"], body["state"], body["severity"]) == (1, "open", "P1")
    assert "tenant_id" not in body
    (alert,) = (await api.get(f"{path}/alerts", headers=viewer)).json()["items"]
    assert alert["labels"] == {"alertname": "disk-full", "host": "db-1"}
    assert (await api.get(f"/v1/alerts/{alert['id']}", headers=viewer)).json() == alert
    (entry,) = (await api.get(f"{path}/timeline", headers=viewer)).json()["items"]
    assert (entry["kind"], entry["actor_kind"], entry["actor_name"]) == ("incident.opened", "sender", "probe")
    assert entry["reason"]


async def test_filters_choose_and_combine(
    api: httpx.AsyncClient,
    opens: Opener,
    viewer: dict[str, str],
    database: Database,
    tenant_id: TenantId,
    clock: FakeClock,
    ana: Any,
) -> None:
    source = make_source()
    a = await opens(key="Disk", severity=Severity.P0)
    clock.advance(MINUTE)
    b = await opens(key="cpu", severity=Severity.P3, source=source)
    async with tenant_session(database, tenant_id) as session:
        clock.advance(MINUTE)
        await deliver(session, source, make_resolve("cpu", at=clock.now()), now=clock.now(), seq=2)
        await assign_incident(
            session, incident_id=IncidentId(a.id), assignee="bo", actor=ana, reason="", now=clock.now()
        )
    path = "/v1/incidents"
    assert await ids_of(api, viewer, path) == [b.id, a.id]
    assert await ids_of(api, viewer, path, state="resolved") == [b.id]
    assert await ids_of(api, viewer, path, state=["resolved", "open"]) == [b.id, a.id]
    assert await ids_of(api, viewer, path, severity="P0") == [a.id]
    assert await ids_of(api, viewer, path, source=str(source.id)) == [b.id]
    assert await ids_of(api, viewer, path, assignee="bo") == [a.id]
    assert await ids_of(api, viewer, path, q="dISK") == [a.id]
    assert await ids_of(api, viewer, path, q="%") == []
    assert await ids_of(api, viewer, path, since=b.created_at.isoformat()) == [b.id]
    assert await ids_of(api, viewer, path, until=b.created_at.isoformat()) == [a.id]
    assert await ids_of(api, viewer, path, state="open", severity="P3") == []
    alerts = "/v1/alerts"
    firing = await ids_of(api, viewer, alerts, status="firing")
    assert firing == await ids_of(api, viewer, alerts, incident=str(a.id))
    assert await ids_of(api, viewer, alerts, dedup_key="Disk") == firing
    assert len(await ids_of(api, viewer, alerts)) == 2
    assert await ids_of(api, viewer, alerts, severity="P3", source=str(source.id)) != firing


BAD_QUERIES = [
    "limit=0",
    "limit=1000000000",
    "limit=-1",
    "limit=9223372036854775808",
    "state=broken",
    "severity=P9",
    "source=1",
    "since=yesterday",
    "since=2026-01-01T00:00:00",
    "since=9999-12-31T23:59:59-14:00",
    "q=",
    "q=%00",
    "assignee=%00",
    "sort=tenant_id",
    "tenant_id=1",
    "password=x",
    "__class__=x",
    "%3B%20drop=x",
    "offset=-1",
]


async def test_b29_b30_bad_and_unknown_filters_are_refused(api: httpx.AsyncClient, viewer: dict[str, str]) -> None:
    for query in BAD_QUERIES:
        answer = await api.get(f"/v1/incidents?{query}", headers=viewer)
        assert answer.status_code == 422, (query, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"]


async def test_b30_the_other_lists_refuse_unknown_filters_too(
    api: httpx.AsyncClient, opens: Opener, viewer: dict[str, str]
) -> None:
    incident = await opens()
    for path in ("/v1/alerts", f"/v1/incidents/{incident.id}/alerts", f"/v1/incidents/{incident.id}/timeline"):
        answer = await api.get(f"{path}?sort=tenant_id", headers=viewer)
        assert (answer.status_code, answer.json()["code"]) == (422, "query.unknown_filter")


async def test_pages_follow_one_another_without_a_gap_or_a_repeat(
    api: httpx.AsyncClient, opens: Opener, viewer: dict[str, str]
) -> None:
    opened = [(await opens(key=f"k{number}")).id for number in range(7)]
    seen: list[UUID] = []
    query: dict[str, Any] = {"limit": 3, "state": "open"}
    for expected in (3, 3, 1):
        body = (await api.get("/v1/incidents", params=query, headers=viewer)).json()
        assert len(body["items"]) == expected
        seen += [UUID(item["id"]) for item in body["items"]]
        query["cursor"] = body["next_cursor"]
    assert seen == opened[::-1]
    assert body["next_cursor"] is None


async def test_b29_a_cursor_that_was_tampered_with_or_is_another_tenants_is_refused(
    api: httpx.AsyncClient, opens: Opener, viewer: dict[str, str], other_tokens: Tokens
) -> None:
    for number in range(2):
        await opens(key=f"k{number}")
    cursor = (await api.get("/v1/incidents?limit=1", headers=viewer)).json()["next_cursor"]
    theirs = {"Authorization": other_tokens[Role.VIEWER]}
    tampered = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for headers, value in ((viewer, tampered), (theirs, cursor), (viewer, "x"), (viewer, "é")):
        answer = await api.get("/v1/incidents", params={"limit": 1, "cursor": value}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor.invalid")


async def test_a_timeline_is_paged_oldest_first(
    api: httpx.AsyncClient, opens: Opener, viewer: dict[str, str], responder: dict[str, str]
) -> None:
    path = f"/v1/incidents/{(await opens()).id}"
    for number in range(3):
        await api.post(f"{path}/notes", json={"text": f"note {number}"}, headers=responder)
    first = (await api.get(f"{path}/timeline?limit=2", headers=viewer)).json()
    rest = await api.get(f"{path}/timeline", params={"limit": 2, "cursor": first["next_cursor"]}, headers=viewer)
    summaries = [entry["summary"] for entry in first["items"] + rest.json()["items"]]
    assert summaries[1:] == ["note 0", "note 1", "note 2"]


async def test_the_steps_of_an_incident(api: httpx.AsyncClient, opens: Opener, responder: dict[str, str]) -> None:
    path = f"/v1/incidents/{(await opens()).id}"
    acknowledged = await api.post(f"{path}/acknowledge", headers=responder)
    resolved = await api.post(f"{path}/resolve", json={"reason": "restarted"}, headers=responder)
    refused = await api.post(f"{path}/acknowledge", headers=responder)
    reopened = await api.post(f"{path}/reopen", json={}, headers=responder)
    assigned = await api.post(f"{path}/assign", json={"assignee": "bo", "reason": "on duty"}, headers=responder)
    note = await api.post(f"{path}/notes", json={"text": "hello"}, headers=responder)
    answers = [acknowledged, resolved, reopened, assigned]
    assert [answer.json()["state"] for answer in answers] == ["acknowledged", "resolved", "open", "open"]
    assert assigned.json()["assignee"] == "bo"
    assert (note.status_code, note.json()["data"]) == (201, {"text": "hello"})
    assert (refused.status_code, refused.json()["code"]) == (409, "incident.invalid_transition")
    timeline = (await api.get(f"{path}/timeline", headers=responder)).json()["items"]
    assert {entry["actor_kind"] for entry in timeline[1:]} == {"token"}
    assert [entry["reason"] for entry in timeline[1:4]] == ["no reason given", "restarted", "no reason given"]


async def test_the_same_idempotency_key_writes_once(
    api: httpx.AsyncClient, opens: Opener, responder: dict[str, str]
) -> None:
    path = f"/v1/incidents/{(await opens()).id}"
    headers = responder | {"Idempotency-Key": str(new_id())}
    first = await api.post(f"{path}/notes", json={"text": "once"}, headers=headers)
    again = await api.post(f"{path}/notes", json={"text": "once"}, headers=headers)
    other = await api.post(f"{path}/notes", json={"text": "twice"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    timeline = (await api.get(f"{path}/timeline", headers=responder)).json()["items"]
    assert [entry["summary"] for entry in timeline[1:]] == ["once"]


BAD_BODIES: list[tuple[str, Any]] = [
    ("acknowledge", {"reason": "x", "tenant_id": str(new_id())}),
    ("resolve", {"status": "closed"}),
    ("reopen", {"reason": "nul \x00"}),
    ("assign", {}),
    ("assign", {"assignee": ""}),
    ("assign", {"assignee": {"$ne": 1}}),
    ("notes", {}),
    ("notes", {"text": ""}),
    ("notes", {"text": "x" * 20_001}),
    ("notes", {"text": "x", "id": str(new_id()), "created_by": "me"}),
    ("notes", []),
    ("notes", None),
]


async def test_c03_bodies_that_say_something_else_are_refused(
    api: httpx.AsyncClient, opens: Opener, responder: dict[str, str]
) -> None:
    incident = await opens()
    for step, body in BAD_BODIES:
        answer = await api.post(f"/v1/incidents/{incident.id}/{step}", json=body, headers=responder)
        assert answer.status_code == 422, (step, body, answer.text)


async def test_text_of_a_sender_is_data(api: httpx.AsyncClient, opens: Opener, viewer: dict[str, str]) -> None:
    title = "<script>alert(1)</script> {{7*7}} '; drop table incidents; --"
    incident = await opens(title=title)
    assert (await api.get(f"/v1/incidents/{incident.id}", headers=viewer)).json()["title"] == title
    assert make_event(title=title).title == title
