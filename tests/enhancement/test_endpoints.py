"""The API: ratings with the guides' parameters, enhancements by state, documentation and desks; refusals beside successes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.enhancement.contract import ContextRequest
from app.enhancement.models import EnhancementRow
from app.enhancement.repository import records
from app.enhancement.rules.entities import Entities
from app.enhancement.rules.evidence import SourceKind
from app.enhancement.service import find_similar, receive_ticket

Tokens = dict[Role, str]


class Client:
    """An API client with one role's token."""

    def __init__(self, api: httpx.AsyncClient, header: str) -> None:
        self._api = api
        self._headers = {"authorization": header}

    async def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self._headers | more.pop("headers", {})
        return await self._api.request(method, f"/v1{path}", headers=headers, **more)


@pytest.fixture
def viewer(api: httpx.AsyncClient, tokens: Tokens) -> Client:
    return Client(api, tokens[Role.VIEWER])


@pytest.fixture
def responder(api: httpx.AsyncClient, tokens: Tokens) -> Client:
    return Client(api, tokens[Role.RESPONDER])


@pytest.fixture
def engineer(api: httpx.AsyncClient, tokens: Tokens) -> Client:
    return Client(api, tokens[Role.ENGINEER])


@pytest.fixture
def stranger(api: httpx.AsyncClient, other_tokens: Tokens) -> Client:
    """An admin of another tenant."""
    return Client(api, other_tokens[Role.ADMIN])


async def an_enhancement(
    database: Database, tenant_id: TenantId, *, ticket: str = "1001", state: str = "published", reason: str = ""
) -> UUID:
    """This will store an enhancement in the given state."""
    async with tenant_session(database, tenant_id) as session:
        enhancement_id, _ = await receive_ticket(
            session,
            system="servicedesk",
            external_id=ticket,
            title="Checkout returns 502",
            body="",
            url="",
            incident_id=None,
            source_id=None,
            now=datetime(2026, 1, 5, tzinfo=UTC),
        )
        row = await records.find_enhancement(session, enhancement_id)
        assert isinstance(row, EnhancementRow)
        row.state, row.reason_code, row.method, row.model = state, reason, "model", "first"
    return enhancement_id


async def test_feedback_by_stars_thumb_or_ticket_number(
    responder: Client, viewer: Client, database: Database, tenant_id: TenantId
) -> None:
    enhancement_id = await an_enhancement(database, tenant_id)
    first = await responder("POST", "/feedback", json={"enhancement_id": str(enhancement_id), "rating": 5})
    second = await responder(
        "POST",
        "/feedback",
        json={
            "ticket_id": "1001",
            "thumbs": "down",
            "rating": 2,
            "reason_code": "wrong_cause",
            "comment": "It was DNS. password=Hunter2Hunter2",
            "technician": "Grace",
        },
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert (first.json()["sentiment"], second.json()["sentiment"]) == ("positive", "negative")
    assert second.json()["model"] == "first"
    assert "Hunter2" not in second.text

    listed = (await viewer("GET", "/feedback")).json()
    assert [item["id"] for item in listed["items"]] == [second.json()["id"], first.json()["id"]]
    low = (await viewer("GET", "/feedback", params={"max_rating": 3})).json()
    assert [item["rating"] for item in low["items"]] == [2]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"ticket_id": "404", "rating": 5}, 404, "enhancement.nothing_to_rate"),
        ({"enhancement_id": str(new_id()), "rating": 5}, 404, "enhancement.nothing_to_rate"),
        ({"ticket_id": "1001"}, 422, "validation"),
        ({"rating": 5}, 422, "validation"),
        ({"ticket_id": "1001", "rating": 6}, 422, "validation"),
        ({"ticket_id": "1001", "rating": 5, "enhancement_id": str(new_id())}, 422, "validation"),
        ({"ticket_id": "1001", "rating": 5, "model": "mine"}, 422, "validation"),
        ({"ticket_id": "1001", "rating": 5, "comment": "a\x00b"}, 422, "validation"),
    ],
)
async def test_feedback_that_cannot_be_taken(
    responder: Client, database: Database, tenant_id: TenantId, body: dict[str, Any], status: int, code: str
) -> None:
    await an_enhancement(database, tenant_id)
    refused = await responder("POST", "/feedback", json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_stats_over_the_guides_dates(
    responder: Client, viewer: Client, database: Database, tenant_id: TenantId, clock: FakeClock
) -> None:
    enhancement_id = await an_enhancement(database, tenant_id)
    day = clock.now().date()
    for rating in (5, 5, 4, 1):
        given = await responder("POST", "/feedback", json={"enhancement_id": str(enhancement_id), "rating": rating})
        assert given.status_code == 201
    clock.advance(timedelta(days=2))
    await responder("POST", "/feedback", json={"enhancement_id": str(enhancement_id), "rating": 3})

    everything = (await viewer("GET", "/feedback/stats", params={"tenant_id": str(tenant_id)})).json()
    assert (everything["count"], everything["average_rating"]) == (5, 3.6)
    assert everything["ratings"] == {"1": 1, "2": 0, "3": 1, "4": 1, "5": 2}
    assert everything["positive_share"] == 0.6
    assert (everything["meets_rating_target"], everything["meets_sentiment_target"]) == (False, False)
    assert [entry["count"] for entry in everything["by_day"]] == [4, 1]

    first_day = {"start_date": str(day), "end_date": str(day)}
    early = (await viewer("GET", "/feedback/stats", params=first_day)).json()
    assert (early["count"], early["average_rating"], early["meets_sentiment_target"]) == (4, 3.75, True)
    listed = (await viewer("GET", "/feedback", params=first_day)).json()["items"]
    assert len(listed) == 4

    empty = (
        await viewer("GET", "/feedback/stats", params={"start_date": "2020-01-01", "end_date": "2020-01-02"})
    ).json()
    assert (empty["count"], empty["average_rating"], empty["meets_rating_target"]) == (0, None, None)


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"start_date": "2026-02-01", "end_date": "2026-01-01"}, 422, "enhancement.dates_reversed"),
        ({"start_date": "yesterday"}, 422, "validation"),
        ({"end_date": "9999-12-31"}, 422, "validation"),
        ({"tenant": "x"}, 422, "enhancement.unknown_parameter"),
        ({"tenant_id": str(new_id())}, 404, "enhancement.no_such_tenant"),
    ],
)
@pytest.mark.parametrize("path", ["/feedback", "/feedback/stats"])
async def test_questions_that_cannot_be_answered(
    viewer: Client, path: str, params: dict[str, str], status: int, code: str
) -> None:
    refused = await viewer("GET", path, params=params)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_failed_enhancements_are_listed_with_their_reason(
    viewer: Client, database: Database, tenant_id: TenantId
) -> None:
    await an_enhancement(database, tenant_id, ticket="1")
    failed = await an_enhancement(database, tenant_id, ticket="2", state="failed", reason="ticket_closed")
    page = (await viewer("GET", "/enhancements", params={"state": "failed"})).json()
    assert [(item["id"], item["reason_code"], item["ticket"]) for item in page["items"]] == [
        (str(failed), "ticket_closed", "2")
    ]
    assert (await viewer("GET", "/enhancements", params={"reason": "no_desk"})).json()["items"] == []
    assert len((await viewer("GET", "/enhancements", params={"ticket": "1"})).json()["items"]) == 1


async def test_pages_walk_through_everything_once(viewer: Client, database: Database, tenant_id: TenantId) -> None:
    made = {str(await an_enhancement(database, tenant_id, ticket=str(number))) for number in range(5)}
    seen: list[str] = []
    params: dict[str, str] = {"limit": "2"}
    while True:
        page = (await viewer("GET", "/enhancements", params=params)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert sorted(seen) == sorted(made)
    assert len(seen) == 5


async def test_a_retry_enqueues_one_job_and_only_for_what_has_ended(
    responder: Client, database: Database, tenant_id: TenantId
) -> None:
    enhancement_id = await an_enhancement(database, tenant_id, state="failed", reason="credential_rejected")
    path = f"/enhancements/{enhancement_id}/retry"
    headers = {"idempotency-key": "retry-1"}
    first = await responder("POST", path, headers=headers)
    again = await responder("POST", path, headers=headers)
    refused = await responder("POST", path)
    assert (first.status_code, again.status_code) == (202, 202)
    assert (first.json()["state"], first.json()["generation"]) == ("queued", 2)
    assert again.json() == first.json()
    assert (refused.status_code, refused.json()["code"]) == (409, "enhancement.still_running")
    async with tenant_session(database, tenant_id) as session:
        jobs = await session.scalar(
            text("select count(*) from jobs where unique_key = :key"), {"key": str(enhancement_id)}
        )
    assert jobs == 1


async def test_documentation_is_searchable_at_once_and_gone_at_once(
    engineer: Client, viewer: Client, database: Database, tenant_id: TenantId
) -> None:
    body = {"title": "VPN token rejected", "body": "Check the clock of the token server.", "owner": "network"}
    made = (await engineer("POST", "/knowledge", json=body)).json()
    assert (made["version"], made["trust"]) == (1, "trusted")
    assert await found(database, tenant_id, "VPN token rejected") == [made["id"]]

    changed = await engineer(
        "PUT", f"/knowledge/{made['id']}", json=body | {"title": "Coffee machine", "body": "Beans."}
    )
    assert changed.json()["version"] == 2
    assert await found(database, tenant_id, "VPN token rejected") == []
    assert (await viewer("GET", f"/knowledge/{made['id']}")).json()["title"] == "Coffee machine"

    assert (await engineer("DELETE", f"/knowledge/{made['id']}")).status_code == 204
    assert (await viewer("GET", f"/knowledge/{made['id']}")).json()["code"] == "enhancement.knowledge_not_found"
    assert await found(database, tenant_id, "Coffee machine beans") == []


async def found(database: Database, tenant_id: TenantId, title: str) -> list[str]:
    """This will return the ids of the entries that a ticket of this title finds."""
    async with tenant_session(database, tenant_id) as session:
        request = ContextRequest(
            title=title,
            body=title,
            entities=Entities(),
            signature_hash="",
            exclude=frozenset(),
            limit=5,
            now=datetime(2026, 1, 5, tzinfo=UTC),
        )
        hits = await find_similar(session, kind=SourceKind.KNOWLEDGE, request=request, window=100)
    return [hit.ref for hit in hits]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "https://a b", 'https://x"onload=1'])
async def test_documentation_takes_only_web_addresses(engineer: Client, url: str) -> None:
    refused = await engineer("POST", "/knowledge", json={"title": "t", "body": "b", "url": url})
    assert (refused.status_code, refused.json()["code"]) == (422, "validation")


DESK = {"name": "desk", "base_url": "https://desk.example.com/", "secret": "T3chnician-Key"}


async def test_a_desks_key_goes_in_and_never_comes_out(
    engineer: Client, viewer: Client, database: Database, tenant_id: TenantId
) -> None:
    made = await engineer("POST", "/desks", json=DESK)
    assert made.status_code == 201
    desk = made.json()
    assert (desk["kind"], desk["base_url"]) == ("servicedesk", "https://desk.example.com")
    assert desk["options"]["edition"] == "on_premises"
    answers = [made.text, (await viewer("GET", "/desks")).text, (await viewer("GET", f"/desks/{desk['id']}")).text]
    rotated = await engineer("PATCH", f"/desks/{desk['id']}", json={"secret": "An0ther-Key", "allows_model": False})
    assert rotated.json()["allows_model"] is False
    async with tenant_session(database, tenant_id) as session:
        rows = await session.execute(
            text("select row_to_json(d)::text from desks d union all select row_to_json(a)::text from audit_entries a")
        )
        answers += [rotated.text, *(row[0] for row in rows)]
    assert not any("T3chnician-Key" in answer or "An0ther-Key" in answer for answer in answers)


async def test_desks_that_cannot_be(engineer: Client) -> None:
    made = (await engineer("POST", "/desks", json=DESK)).json()
    refusals = [
        (await engineer("POST", "/desks", json=DESK), 409, "enhancement.desk_name_taken"),
        (
            await engineer("POST", "/desks", json=DESK | {"name": "x", "kind": "nope"}),
            422,
            "enhancement.unknown_desk_kind",
        ),
        (
            await engineer("POST", "/desks", json=DESK | {"name": "x", "options": {"edition": "moon"}}),
            422,
            "enhancement.desk_options_invalid",
        ),
        (await engineer("POST", "/desks", json=DESK | {"name": "x", "base_url": "ftp://x"}), 422, "validation"),
        # Otherwise whoever may change the address could have the old key sent to a host of theirs.
        (
            await engineer("PATCH", f"/desks/{made['id']}", json={"base_url": "https://evil.example"}),
            422,
            "enhancement.desk_options_invalid",
        ),
    ]
    for answer, status, code in refusals:
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_deleted_desk_leaves_its_tickets(engineer: Client, database: Database, tenant_id: TenantId) -> None:
    made = (await engineer("POST", "/desks", json=DESK)).json()
    await an_enhancement(database, tenant_id)
    assert (await engineer("DELETE", f"/desks/{made['id']}")).status_code == 204
    assert (await engineer("GET", "/desks")).json()["items"] == []
    assert len((await engineer("GET", "/enhancements")).json()["items"]) == 1


async def test_every_write_needs_its_role(
    viewer: Client, responder: Client, database: Database, tenant_id: TenantId
) -> None:
    enhancement_id = await an_enhancement(database, tenant_id, state="failed")
    refused = [
        await viewer("POST", "/feedback", json={"enhancement_id": str(enhancement_id), "rating": 5}),
        await viewer("POST", f"/enhancements/{enhancement_id}/retry"),
        await responder("POST", "/knowledge", json={"title": "t", "body": "b"}),
        await responder("DELETE", f"/knowledge/{new_id()}"),
        await responder("POST", "/desks", json=DESK),
        await responder("PATCH", f"/desks/{new_id()}", json={}),
        await responder("DELETE", f"/desks/{new_id()}"),
    ]
    assert {answer.status_code for answer in refused} == {403}


async def test_another_tenant_sees_exactly_what_a_random_id_shows(
    engineer: Client, stranger: Client, database: Database, tenant_id: TenantId
) -> None:
    enhancement_id = await an_enhancement(database, tenant_id, state="failed")
    desk = (await engineer("POST", "/desks", json=DESK)).json()["id"]
    entry = (await engineer("POST", "/knowledge", json={"title": "t", "body": "b"})).json()["id"]
    body = {"title": "t", "body": "b"}
    for method, path, more in (
        ("GET", "/enhancements/{}", {}),
        ("POST", "/enhancements/{}/retry", {}),
        ("GET", "/knowledge/{}", {}),
        ("PUT", "/knowledge/{}", {"json": body}),
        ("DELETE", "/knowledge/{}", {}),
        ("GET", "/desks/{}", {}),
        ("PATCH", "/desks/{}", {"json": {"name": "mine"}}),
        ("DELETE", "/desks/{}", {}),
    ):
        theirs = {"enhancements": enhancement_id, "knowledge": entry, "desks": desk}[path.split("/")[1]]
        random = new_id()
        answers = [await stranger(method, path.format(which), **more) for which in (theirs, random)]
        assert [answer.status_code for answer in answers] == [404, 404], (method, path)
        one, other = (
            {name: value for name, value in answer.json().items() if name not in {"instance", "request_id"}}
            for answer in answers
        )
        assert str(one).replace(str(theirs), "#") == str(other).replace(str(random), "#")
    for path in ("/enhancements", "/knowledge", "/desks", "/feedback"):
        assert (await stranger("GET", path)).json()["items"] == []
    rated = await stranger("POST", "/feedback", json={"enhancement_id": str(enhancement_id), "rating": 1})
    assert rated.status_code == 404


async def test_every_change_is_in_the_audit_trail(
    engineer: Client, responder: Client, resources: Resources, database: Database, tenant_id: TenantId
) -> None:
    del resources
    enhancement_id = await an_enhancement(database, tenant_id, state="failed")
    desk = (await engineer("POST", "/desks", json=DESK)).json()["id"]
    await engineer("PATCH", f"/desks/{desk}", json={"enabled": False})
    await engineer("DELETE", f"/desks/{desk}")
    entry = (await engineer("POST", "/knowledge", json={"title": "t", "body": "b"})).json()["id"]
    await engineer("PUT", f"/knowledge/{entry}", json={"title": "t", "body": "c"})
    await engineer("DELETE", f"/knowledge/{entry}")
    await responder("POST", "/feedback", json={"enhancement_id": str(enhancement_id), "rating": 5})
    await responder("POST", f"/enhancements/{enhancement_id}/retry")
    async with tenant_session(database, tenant_id) as session:
        actions = list((await session.execute(text("select action from audit_entries"))).scalars())
    assert {
        "desk.created", "desk.changed", "desk.deleted", "knowledge.created", "knowledge.changed", "knowledge.deleted",
        "feedback.given", "enhancement.retried",
    } <= set(actions)  # fmt: skip
