"""Every operation of the API asks who is calling, and the roles hold for each of them: from the OpenAPI document."""

from __future__ import annotations

import re

import httpx

from app.auth.rules import Role
from app.core.ids import new_id
from app.ingest.dropin.openapi import openapi_path_items
from app.main import Application

METHODS = ("get", "post", "put", "patch", "delete")
# Open on purpose, each with its reason.
OPEN = {
    "/in/{source}": "a sender proves itself by its signature",
    "/healthz": "liveness says nothing else",
    "/readyz": "for the load balancer",
    "/health": "for the load balancer and monitors; names no tenant",
    "/health/db": "the same",
    "/health/queue": "the same",
    **dict.fromkeys(
        openapi_path_items(), "a sender proves itself by its key, in the words of the service that it was made for"
    ),
}
OPERATORS = "/v1/admin/tenants"
# Reading is a viewer's; what else a viewer may call, each with its reason.
VIEWERS_WRITES = {
    "POST /v1/runbooks/validate": "checks a text and keeps nothing",
    "POST /v1/feedback": "a rating of a note is what a viewer is there for",
}


def operations(application: Application) -> list[tuple[str, str]]:
    paths = application.api.openapi()["paths"]
    found = [
        (method.upper(), path)
        for path, item in paths.items()
        if path not in OPEN
        for method in item
        if method in METHODS
    ]
    assert len(found) >= 50, "the document has lost operations"
    return found


def filled(path: str) -> str:
    return re.sub(r"{\w+}", str(new_id()), path)


async def test_nobody_gets_in_without_a_token(application: Application, api: httpx.AsyncClient) -> None:
    for method, path in operations(application):
        answer = await api.request(method, filled(path), json={})
        assert answer.status_code == 401, f"{method} {path} answers {answer.status_code} to nobody"
        assert answer.json()["code"] == "auth.token_invalid", f"{method} {path}"


async def test_a_viewer_changes_nothing(
    application: Application, api: httpx.AsyncClient, tokens: dict[Role, str]
) -> None:
    headers = {"Authorization": tokens[Role.VIEWER]}
    for method, path in operations(application):
        if method == "GET" or path.startswith(OPERATORS) or f"{method} {path}" in VIEWERS_WRITES:
            continue
        answer = await api.request(method, filled(path), json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "auth.role_too_low"), (
            f"{method} {path} answers a viewer {answer.status_code} {answer.text}"
        )


async def test_a_tenants_admin_is_no_operator(
    application: Application, api: httpx.AsyncClient, tokens: dict[Role, str]
) -> None:
    platform = [(method, path) for method, path in operations(application) if path.startswith(OPERATORS)]
    assert len(platform) >= 4
    for method, path in platform:
        answer = await api.request(method, filled(path), json={}, headers={"Authorization": tokens[Role.ADMIN]})
        assert answer.status_code == 401, f"{method} {path}"


async def test_an_operator_sees_no_tenants_data(
    application: Application, api: httpx.AsyncClient, operator_token: str
) -> None:
    for method, path in operations(application):
        if not path.startswith(OPERATORS):
            answer = await api.request(method, filled(path), json={}, headers={"Authorization": operator_token})
            assert answer.status_code == 401, f"{method} {path}"
