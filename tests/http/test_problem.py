from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

import app
from app.core import errors
from app.core.errors import NotFound, TocsinError, Unavailable
from app.http.faults import translate
from app.http.problem import FRAME_CODES, STATUS_BY_CATEGORY, VALIDATION_CODE, known_problems, problem_responses
from tests.http.world import bare_resources, client_of, framed

CATEGORIES = [
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Invalid, 422),
    (errors.MalformedRequest, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.PayloadTooLarge, 413),
    (errors.UnsupportedMedia, 415),
    (errors.Unavailable, 503),
]


class Broken:
    """What the next request raises."""

    error: Exception


@pytest.fixture
def broken() -> Broken:
    return Broken()


@pytest.fixture
async def client(broken: Broken) -> AsyncIterator[httpx.AsyncClient]:
    api, framed_app = framed(bare_resources())
    _add_breaking_route(api, broken)
    async with client_of(framed_app) as client:
        yield client


def _add_breaking_route(api: FastAPI, broken: Broken) -> None:
    async def fail() -> None:
        raise broken.error

    api.add_api_route("/v1/broken", fail, methods=["GET"])


def assert_problem(answer: httpx.Response, *, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def load_everything() -> None:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        importlib.import_module(module.name)


@pytest.mark.parametrize(("category", "status"), CATEGORIES)
async def test_each_category_has_its_status(
    client: httpx.AsyncClient, broken: Broken, category: type[TocsinError], status: int
) -> None:
    kind = type("Concrete", (category,), {"code": category.code, "title": "What happened", "hint": "Do this."})
    broken.error = kind("This time: 7")
    body = assert_problem(await client.get("/v1/broken"), status=status, code=category.code)
    assert (body["title"], body["detail"], body["hint"]) == ("What happened", "This time: 7", "Do this.")


def test_every_category_is_in_the_table() -> None:
    categories = {kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__base__ is TocsinError}
    assert set(STATUS_BY_CATEGORY) == categories == {kind for kind, _ in CATEGORIES}


async def test_unavailable_says_when_to_come_back(client: httpx.AsyncClient, broken: Broken) -> None:
    broken.error = Unavailable(retry_after_s=17)
    assert (await client.get("/v1/broken")).headers["retry-after"] == "17"


async def test_unauthenticated_says_how(client: httpx.AsyncClient, broken: Broken) -> None:
    broken.error = errors.Unauthenticated()
    assert (await client.get("/v1/broken")).headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("select secret from tenants where password='hunter2'"),
        KeyError("hunter2"),
        ProgrammingError("select hunter2", {"p": "hunter2"}, Exception("hunter2")),
        IntegrityError("insert hunter2", {}, Exception("hunter2")),
        TimeoutError("hunter2"),
        TocsinError("hunter2"),
    ],
)
async def test_a_bug_tells_the_caller_nothing_but_the_request_id(
    client: httpx.AsyncClient, broken: Broken, error: Exception
) -> None:
    broken.error = error
    with structlog.testing.capture_logs() as logs:
        answer = await client.get("/v1/broken")
    assert_problem(answer, status=500, code="internal")
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text
    assert [line["event"] for line in logs] == ["request.crashed", "request.done"]


async def test_a_field_that_is_wrong_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/notes", json={"txt": "x"})
    body = assert_problem(answer, status=422, code=VALIDATION_CODE)
    assert {error["where"] for error in body["errors"]} == {"body.text", "body.txt"}


async def test_the_values_of_wrong_fields_are_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/notes", json={"text": ["hunter2"]})
    assert_problem(answer, status=422, code=VALIDATION_CODE)
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("body", [b"{", b"{'a': 1}", b'{"text": nope}', b"[" * 1_900])
async def test_what_is_no_json_is_malformed(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/v1/notes", content=body, headers={"content-type": "application/json"})
    assert_problem(answer, status=400, code="malformed")


async def test_text_that_is_no_unicode_is_refused_and_reported_readably(client: httpx.AsyncClient) -> None:
    for content in (b'{"text": "\\ud800"}', b'{"text": "x", "\\udfff": 1}'):
        answer = await client.post("/v1/notes", content=content, headers={"content-type": "application/json"})
        body = assert_problem(answer, status=422, code=VALIDATION_CODE)
        assert body["errors"][0]["where"].startswith("body")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_json_under_another_name_is_refused(client: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await client.post("/v1/notes", content=b'{"text": "x"}', headers=headers)
    assert_problem(answer, status=422, code=VALIDATION_CODE)


async def test_unknown_paths_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/v1/nothing"), status=404, code="route.not_found")
    answer = await client.delete("/v1/notes")
    assert_problem(answer, status=405, code="route.method_not_allowed")
    assert "POST" in answer.headers["allow"]


async def test_a_slash_too_many_is_not_redirected_to_a_host_of_the_callers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/notes/", headers={"host": "evil.example"})
    assert_problem(answer, status=404, code="route.not_found")


@given(st.text(min_size=1, max_size=40))
def test_any_detail_can_be_said(detail: str) -> None:
    from app.http.problem import problem_response

    assert problem_response(status=404, code="x", title="X", detail=detail).body


def test_problem_codes_are_unique_well_formed_and_in_one_category() -> None:
    load_everything()
    known = known_problems()
    assert len(known) > 20
    for code, kind in known.items():
        assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)*", code), kind
        assert kind.title, kind
    shared = {"malformed", "payload_too_large"}
    assert (set(FRAME_CODES.values()) | {VALIDATION_CODE}) & set(known) == shared


def test_a_code_that_is_claimed_twice_is_found() -> None:
    first, second = (type(name, (NotFound,), {"code": "test.twice", "__module__": "app.test"}) for name in "AB")
    try:
        with pytest.raises(ValueError, match=r"test\.twice"):
            known_problems()
    finally:
        # Classes live until they are collected; they must not trip the test above.
        first.__module__ = second.__module__ = "tests"


def test_two_problems_of_one_status_are_described_together() -> None:
    one = type("One", (NotFound,), {"code": "test.one", "title": "One is missing"})
    two = type("Two", (NotFound,), {"code": "test.two", "title": "Two is missing"})
    described = problem_responses(one, two, errors.Conflict)
    assert set(described) == {404, 409}
    assert described[404]["description"] == "One is missing (`test.one`); Two is missing (`test.two`)"


def database_error(sqlstate: str) -> DBAPIError:
    cause = type("Cause", (Exception,), {"sqlstate": sqlstate})
    return DBAPIError("select hunter2", {}, cause("hunter2"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PoolTimeout(), "database.busy"),
        (database_error("57014"), "database.busy"),
        (database_error("55P03"), "database.busy"),
        (database_error("40001"), "database.busy"),
        (database_error("40P01"), "database.busy"),
        (database_error("08006"), "database.busy"),
        (database_error("53300"), "database.busy"),
        (database_error("22021"), "text.not_storable"),
        (database_error("22P05"), "text.not_storable"),
        (database_error("23505"), None),
        (database_error("42601"), None),
        (database_error(""), None),
    ],
)
def test_only_passing_faults_of_the_database_are_anticipated(error: Exception, code: str | None) -> None:
    known = translate(error)
    assert (known.code if known is not None else None) == code


async def test_a_busy_database_is_worth_a_retry(client: httpx.AsyncClient, broken: Broken) -> None:
    broken.error = database_error("57014")
    answer = await client.get("/v1/broken")
    assert_problem(answer, status=503, code="database.busy")
    assert answer.headers["retry-after"] == "1"
    assert "hunter2" not in answer.text
