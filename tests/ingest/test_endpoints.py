"""Sources, receipts and deliveries over the API: success and refusal, and nobody else's."""

from __future__ import annotations

import asyncio
import shlex
from datetime import timedelta
from uuid import uuid4

import httpx
import orjson
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from tests.factories.ingest import Sender, committed_source

Tokens = dict[Role, str]


def auth(tokens: Tokens, role: Role = Role.ENGINEER) -> dict[str, str]:
    return {"authorization": tokens[role]}


async def create(api: httpx.AsyncClient, tokens: Tokens, **changes: object) -> httpx.Response:
    body = {"kind": "generic", "name": "queue watch"} | changes
    return await api.post("/v1/sources", json=body, headers=auth(tokens))


async def test_a_source_is_created_with_a_curl_line_that_works(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    answer = await create(api, tokens)
    assert answer.status_code == 201
    made = answer.json()
    assert made["source"]["strength"] == "signed_fresh"
    words = shlex.split(made["curl"])
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    sent = await api.post(words[5 - 1], content=words[-1].encode(), headers=headers)
    assert sent.status_code == 202
    async with tenant_session(database, tenant_id) as session:
        stored = (await session.execute(text("select ciphertext from source_secrets"))).scalars().all()
        trail = (await session.execute(text("select action, detail from audit_entries"))).all()
    assert len(stored) == 1
    assert made["secret"].encode() not in stored[0]
    assert "source.created" in {row.action for row in trail}
    assert made["secret"] not in repr(trail)


@pytest.mark.parametrize("kind", ["alertmanager", "servicedesk", "generic"])
@pytest.mark.parametrize("profile", ["bearer", "basic", "url_secret", "github", "slack", "stripe", "zendesk"])
async def test_the_curl_line_fits_each_profile(api: httpx.AsyncClient, tokens: Tokens, kind: str, profile: str) -> None:
    made = (await create(api, tokens, kind=kind, profile=profile)).json()
    words = shlex.split(made["curl"])
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    assert (await api.post(words[4], content=words[-1].encode(), headers=headers)).status_code in (200, 202)


async def test_the_secret_is_shown_once(api: httpx.AsyncClient, tokens: Tokens) -> None:
    made = (await create(api, tokens)).json()
    path = f"/v1/sources/{made['source']['id']}"
    for answer in (
        await api.get(path, headers=auth(tokens, Role.VIEWER)),
        await api.get("/v1/sources", headers=auth(tokens, Role.VIEWER)),
    ):
        assert answer.status_code == 200
        assert made["secret"] not in answer.text


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"kind": "pager"}, 422, "source.unknown_kind"),
        ({"profile": "nobodys"}, 404, "signing.profile_not_found"),
        ({"profile": "none"}, 422, "signing.secret_not_generated"),
        ({"secret": "short"}, 422, "signing.invalid_secret"),
        ({"secret": "whsec_"}, 422, "signing.invalid_secret"),
        ({"config": {"title": "sum("}}, 422, "source.config_invalid"),
        ({"config": {"title": "to_string(@)"}}, 422, "source.config_invalid"),
        ({"config": {"odd": 1}}, 422, "source.config_invalid"),
        ({"severity_map": {"x": "P9"}}, 422, "validation"),
        ({"tenant_id": str(uuid4())}, 422, "validation"),
        ({"resolve_timeout_s": 1}, 422, "validation"),
    ],
)  # A28, B16, C03
async def test_what_cannot_work_is_refused(
    api: httpx.AsyncClient, tokens: Tokens, changes: dict[str, object], status: int, code: str
) -> None:
    answer = await create(api, tokens, **changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_of_sources_that_take_one_name_at_once_one_gets_it_and_no_other_is_renamed_to_it(
    api: httpx.AsyncClient, tokens: Tokens
) -> None:
    answers = await asyncio.gather(*(create(api, tokens, name="wanted") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"source.name_taken"}
    others = [(await create(api, tokens, name=f"other {n}")).json()["source"]["id"] for n in range(3)]

    async def rename(source_id: str, name: str) -> int:
        answer = await api.patch(f"/v1/sources/{source_id}", json={"name": name}, headers=auth(tokens))
        assert answer.status_code == 200 or answer.json()["code"] == "source.name_taken"
        return answer.status_code

    assert await rename(others[0], "wanted") == 409
    assert sorted(await asyncio.gather(*(rename(one, "new") for one in others))) == [200, 409, 409]


async def test_a_name_is_used_once_until_its_source_is_deleted(
    api: httpx.AsyncClient, tokens: Tokens, other_tokens: Tokens
) -> None:  # C07
    first = await create(api, tokens)
    again = await create(api, tokens)
    assert (again.status_code, again.json()["code"]) == (409, "source.name_taken")
    assert (await create(api, other_tokens)).status_code == 201
    path = f"/v1/sources/{first.json()['source']['id']}"
    assert (await api.delete(path, headers=auth(tokens))).status_code == 204
    assert (await api.delete(path, headers=auth(tokens))).status_code == 404
    assert (await create(api, tokens)).status_code == 201


async def test_a_viewer_reads_and_does_not_write(api: httpx.AsyncClient, tokens: Tokens) -> None:  # C17
    made = (await create(api, tokens)).json()["source"]
    path = f"/v1/sources/{made['id']}"
    viewer = auth(tokens, Role.VIEWER)
    body = {"kind": "generic", "name": "x"}
    refused = [
        await api.post("/v1/sources", json=body, headers=viewer),
        await api.patch(path, json={"name": "x"}, headers=viewer),
        await api.delete(path, headers=viewer),
        await api.post(f"{path}/rotate-secret", headers=viewer),
        await api.post("/v1/sources/preview", json={"kind": "generic", "body": "{}"}, headers=viewer),
    ]
    assert {answer.status_code for answer in refused} == {403}
    assert (await api.get(path, headers=viewer)).status_code == 200


async def test_another_tenants_source_is_not_there(
    api: httpx.AsyncClient, tokens: Tokens, other_tokens: Tokens
) -> None:  # C01
    path = f"/v1/sources/{(await create(api, tokens)).json()['source']['id']}"
    for method, body in (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None)):
        theirs = await api.request(method, path, json=body, headers=auth(other_tokens))
        nobodys = await api.request(method, f"/v1/sources/{uuid4()}", json=body, headers=auth(other_tokens))
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json()["code"] == nobodys.json()["code"]
    assert (await api.get("/v1/sources", headers=auth(other_tokens))).json()["items"] == []


async def test_a_change_is_kept_and_audited(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    made = (await create(api, tokens, resolve_timeout_s=600)).json()["source"]
    change = {"severity_map": {"Sev-1": "P0"}, "group_by": ["service"], "resolve_timeout_s": None, "state": "paused"}
    answer = await api.patch(f"/v1/sources/{made['id']}", json=change, headers=auth(tokens))
    assert answer.status_code == 200
    kept = answer.json()
    assert (kept["severity_map"], kept["group_by"]) == ({"sev-1": "P0"}, ["service"])
    assert (kept["resolve_timeout_s"], kept["state"], kept["name"]) == (None, "paused", "queue watch")
    async with tenant_session(database, tenant_id) as session:
        trail = (await session.execute(text("select action, detail from audit_entries order by seq"))).all()
    assert (trail[-1].action, trail[-1].detail["changed"]) == ("source.changed", sorted(change))


async def test_rotation_over_the_api_shows_the_new_secret_and_both_dates(
    api: httpx.AsyncClient, tokens: Tokens, clock: FakeClock
) -> None:
    made = (await create(api, tokens)).json()
    path = f"/v1/sources/{made['source']['id']}"
    rotated = await api.post(f"{path}/rotate-secret", json={"overlap_s": 600}, headers=auth(tokens))
    assert rotated.status_code == 200
    assert rotated.json()["secret"] != made["secret"]
    shown = (await api.get(path, headers=auth(tokens))).json()["secrets"]
    ends = [secret["expires_at"] for secret in shown]
    assert ends[0] is None
    assert ends[1] == (clock.now() + timedelta(seconds=600)).isoformat().replace("+00:00", "Z")


async def test_a_receipt_tells_its_tenant_and_nobody_else(
    api: httpx.AsyncClient,
    tokens: Tokens,
    other_tokens: Tokens,
    sender: Sender,
    resources: Resources,
    tenant_id: TenantId,
) -> None:
    source = await committed_source(resources, tenant_id)
    body = orjson.dumps({"id": 1, "title": "x"})
    first = (await sender.send(source, body, delivery_id="msg_r")).json()
    await sender.send(source, body, delivery_id="msg_r")
    answer = await api.get(first["receipt_url"], headers=auth(tokens, Role.VIEWER))
    assert answer.status_code == 200
    receipt = answer.json()
    assert (receipt["state"], receipt["duplicates"], receipt["external_id"]) == ("accepted", 1, "msg_r")
    assert receipt["source_id"] == str(source.source.id)
    theirs = await api.get(first["receipt_url"], headers=auth(other_tokens, Role.VIEWER))
    nobodys = await api.get(f"/v1/receipts/{uuid4()}", headers=auth(other_tokens, Role.VIEWER))
    assert theirs.status_code == nobodys.status_code == 404


async def test_deliveries_are_paged_and_filtered(
    api: httpx.AsyncClient, tokens: Tokens, sender: Sender, resources: Resources, tenant_id: TenantId
) -> None:
    sources = [await committed_source(resources, tenant_id) for _ in range(2)]
    sent = [(await sender.send(sources[i % 2])).json()["receipt_id"] for i in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/deliveries", params=parameters, headers=auth(tokens))).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(reversed(sent))
    of_one = {"source_id": str(sources[0].source.id), "state": "accepted"}
    found = (await api.get("/v1/deliveries", params=of_one, headers=auth(tokens))).json()["items"]
    assert [item["id"] for item in found] == [sent[4], sent[2], sent[0]]
    rejected = (await api.get("/v1/deliveries", params={"state": "rejected"}, headers=auth(tokens))).json()
    assert rejected["items"] == []
    assert (await api.get("/v1/deliveries", params={"state": "odd"}, headers=auth(tokens))).status_code == 422


async def test_only_what_came_to_nothing_is_replayed(
    api: httpx.AsyncClient, tokens: Tokens, sender: Sender, resources: Resources, tenant_id: TenantId
) -> None:
    source = await committed_source(resources, tenant_id)
    waiting = (await sender.send(source)).json()["receipt_id"]
    rejected = (await sender.send(source, b'{"a": "\xff"}')).json()["receipt_id"]
    refused = await api.post(f"/v1/deliveries/{waiting}/replay", headers=auth(tokens))
    assert (refused.status_code, refused.json()["code"]) == (409, "delivery.not_replayable")
    again = await api.post(f"/v1/deliveries/{rejected}/replay", headers=auth(tokens))
    assert (again.status_code, again.json()["state"]) == (200, "accepted")


async def test_a_mapping_is_tried_before_it_is_saved(api: httpx.AsyncClient, tokens: Tokens) -> None:
    body = {
        "kind": "generic",
        "config": {"title": "check.name", "dedup": ["check.name"]},
        "body": '{"check": {"name": "disk"}}',
    }
    shown = (await api.post("/v1/sources/preview", json=body, headers=auth(tokens))).json()
    assert [event["title"] for event in shown["events"]] == ["disk"]
    bad = (await api.post("/v1/sources/preview", json=body | {"body": "nope"}, headers=auth(tokens))).json()
    assert (bad["events"], bad["error"]) == ([], "body.not_json")


async def test_the_intake_route_is_in_the_openapi_document(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    assert set(document["paths"]["/in/{source}"]["post"]["responses"]) >= {"202", "401", "413", "503"}
