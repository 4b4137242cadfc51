from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from app.http.problem import MEDIA_TYPE
from app.ingest.dropin.openapi import openapi_path_items
from app.main import Application

PUBLIC = {"/healthz", "/readyz", "/health", "/health/db", "/health/queue", "/in/{source}"} | set(openapi_path_items())


@pytest.fixture
def document(application: Application) -> dict[str, Any]:
    return application.api.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_each_operation_has_a_summary_and_a_name_of_its_own(document: dict[str, Any]) -> None:
    found = list(operations(document))
    assert all(operation.get("summary") for _, _, operation in found)
    names = [operation["operationId"] for _, _, operation in found]
    assert len(names) == len(set(names))


def test_everything_but_health_and_intake_wants_a_token(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        if path in PUBLIC:
            assert not operation.get("security"), path
        else:
            assert operation["security"] != [], f"{method} {path}"
            assert {"401", "403", "422", "503"} <= set(operation["responses"]), f"{method} {path}"


def test_failures_are_problem_documents(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        if path in PUBLIC:
            continue
        for status, response in operation["responses"].items():
            if status.startswith(("4", "5")):
                assert set(response["content"]) == {MEDIA_TYPE}, f"{method} {path} {status}"


def test_lists_are_bounded(document: dict[str, Any]) -> None:
    limits = [
        parameter["schema"]
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "limit"
    ]
    assert limits != []
    assert all(limit["maximum"] <= 200 and limit["minimum"] == 1 for limit in limits)


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in set(references(document)):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        jsonschema.Draft202012Validator.check_schema(node)


def test_the_intake_route_is_described(document: dict[str, Any]) -> None:
    assert "post" in document["paths"]["/in/{source}"]


def test_writes_that_remember_their_answer_say_so(document: dict[str, Any]) -> None:
    keyed = {
        (method, path)
        for path, method, operation in operations(document)
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }
    assert {
        ("post", "/v1/runs"),
        ("post", "/v1/incidents/{incident_id}/acknowledge"),
        ("post", "/v1/feedback"),
    } <= keyed
    assert [path for method, path in keyed if method == "get"] == []
