"""The API: enhancements by state, documentation and desks; refusals beside successes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.enhancement.contract import ContextRequest
from app.enhancement.rules.entities import Entities
from app.enhancement.rules.evidence import SourceKind
from app.enhancement.service import find_similar
from tests.enhancement.callers import Client, an_enhancement


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


@pytest.mark.parametrize("state", ["failed", "published", "composed"])
async def test_a_retry_enqueues_one_job_unless_one_is_open(
    responder: Client, database: Database, tenant_id: TenantId, state: str
) -> None:
    """*composed* without a job is what a dead job leaves behind."""
    enhancement_id = await an_enhancement(database, tenant_id, state=state)
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
        generation = await session.scalar(text("select generation from enhancements"))
    assert (jobs, generation) == (1, 2)


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


async def test_a_desks_name_is_given_once_however_many_ask_at_once(engineer: Client) -> None:
    answers = await asyncio.gather(*(engineer("POST", "/desks", json=DESK) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    other = (await engineer("POST", "/desks", json=DESK | {"name": "other"})).json()["id"]
    renamed = await engineer("PATCH", f"/desks/{other}", json={"name": DESK["name"]})
    assert (renamed.status_code, renamed.json()["code"]) == (409, "enhancement.desk_name_taken")


async def test_a_deleted_desk_leaves_its_tickets(engineer: Client, database: Database, tenant_id: TenantId) -> None:
    made = (await engineer("POST", "/desks", json=DESK)).json()
    await an_enhancement(database, tenant_id)
    assert (await engineer("DELETE", f"/desks/{made['id']}")).status_code == 204
    assert (await engineer("GET", "/desks")).json()["items"] == []
    assert len((await engineer("GET", "/enhancements")).json()["items"]) == 1


@pytest.mark.parametrize(("list_path", "body"), [("/desks", DESK), ("/knowledge", {"title": "t", "body": "b"})])
async def test_a_removal_repeated_under_its_key_is_answered_again(
    engineer: Client, list_path: str, body: dict[str, object]
) -> None:
    """Who lost the first answer must not be told that there never was such a thing."""
    path = f"{list_path}/{(await engineer('POST', list_path, json=body)).json()['id']}"
    headers = {"idempotency-key": "remove-1"}
    first = await engineer("DELETE", path, headers=headers)
    again = await engineer("DELETE", path, headers=headers)
    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (204, 204, "true")
    assert (await engineer("DELETE", path)).status_code == 404


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
