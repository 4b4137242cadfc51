"""Who may not: viewers, strangers and other tenants."""

from __future__ import annotations

from typing import Any

import httpx

from app.auth.rules import Role
from app.core.ids import new_id
from tests.incidents.conftest import Opener, Tokens, ids_of


async def test_c17_a_viewer_reads_and_does_not_write(
    api: httpx.AsyncClient, opens: Opener, viewer: dict[str, str]
) -> None:
    path = f"/v1/incidents/{(await opens()).id}"
    for step in ("acknowledge", "resolve", "reopen", "assign", "notes"):
        body = {"assignee": "me"} if step == "assign" else {"text": "x"} if step == "notes" else {}
        refused = await api.post(f"{path}/{step}", json=body, headers=viewer)
        nobody = await api.post(f"{path}/{step}", json=body)
        assert (step, refused.status_code, nobody.status_code) == (step, 403, 401)
    assert len((await api.get(f"{path}/timeline", headers=viewer)).json()["items"]) == 1


OPERATIONS: list[tuple[str, str, Any]] = [
    ("GET", "/v1/incidents/{id}", None),
    ("GET", "/v1/incidents/{id}/alerts", None),
    ("GET", "/v1/incidents/{id}/timeline", None),
    ("POST", "/v1/incidents/{id}/acknowledge", {}),
    ("POST", "/v1/incidents/{id}/resolve", {}),
    ("POST", "/v1/incidents/{id}/reopen", {}),
    ("POST", "/v1/incidents/{id}/assign", {"assignee": "me"}),
    ("POST", "/v1/incidents/{id}/notes", {"text": "x"}),
]


async def test_c01_another_tenants_incident_answers_as_a_random_id_does(
    api: httpx.AsyncClient, opens: Opener, other_tokens: Tokens
) -> None:
    incident = await opens()
    headers = {"Authorization": other_tokens[Role.ADMIN]}
    for method, path, body in OPERATIONS:
        answers = []
        for incident_id in (incident.id, new_id()):
            answer = await api.request(method, path.format(id=incident_id), json=body, headers=headers)
            problem = answer.json()
            answers.append((answer.status_code, problem["code"], problem["detail"], problem["title"]))
        assert answers[0] == answers[1], path
        assert answers[0][:2] == (404, "incident.not_found"), path


async def test_c06_lists_show_nothing_of_another_tenant(
    api: httpx.AsyncClient, opens: Opener, viewer: dict[str, str], other_tokens: Tokens
) -> None:
    incident = await opens()
    (alert_id,) = await ids_of(api, viewer, "/v1/alerts")
    theirs = {"Authorization": other_tokens[Role.ADMIN]}
    assert await ids_of(api, theirs, "/v1/incidents") == []
    assert await ids_of(api, theirs, "/v1/alerts", incident=str(incident.id)) == []
    answer = await api.get(f"/v1/alerts/{alert_id}", headers=theirs)
    assert (answer.status_code, answer.json()["code"]) == (404, "alert.not_found")
