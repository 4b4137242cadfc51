"""The whole API, called with what its own document allows and with what it forbids, as each role.

Cases are made once, from a fixed seed, and sent by everybody: no answer is a 5xx, each has a status, a content type and a
body that the document names.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.api import openapi_document
from app.auth.rules import Role

CALLERS = [*(role.value for role in Role), "operator", "nobody"]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SENDERS_PATHS = ("/in/", "/v2/", "/generic/", "/integrations/")
EACH = 3
BASE = "http://tocsin.test"


def cases_of(operation: Any, mode: GenerationMode) -> list[Case]:
    """A few cases of one operation."""
    found: list[Case] = []

    @given(operation.as_strategy(mode))
    @settings(
        max_examples=EACH,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def forbidden_cases(operation: Any) -> list[Case]:
    """Cases that the document forbids; none for senders' own doors, whose bodies and names may be anything."""
    try:
        return cases_of(operation, GenerationMode.NEGATIVE)
    except Unsatisfiable:
        assert operation.path.startswith(SENDERS_PATHS), f"{operation.label} forbids nothing"
        return []


def cases() -> list[Case]:
    """Every operation's cases, allowed and forbidden."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_dict(openapi_document())
        made = []
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]
            made += cases_of(operation, GenerationMode.POSITIVE)
            if operation.body or operation.query or operation.path_parameters:
                made += forbidden_cases(operation)
    return made


def prepared(case: Case, authorization: str | None) -> requests.PreparedRequest | None:
    """The request as it goes out; None where no client could send it."""
    values = case.as_transport_kwargs(base_url=BASE)
    headers = {
        name: value for name, value in dict(values.pop("headers", {})).items() if name.lower() != "authorization"
    }
    if authorization is not None:
        headers["Authorization"] = authorization
    try:
        return requests.Request(headers=headers, **values).prepare()
    except (requests.exceptions.RequestException, ValueError):
        return None


def complaints(case: Case, answer: httpx.Response) -> Iterator[str]:
    """What the checks have to say, one line each."""
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as group:
        for part in group.exceptions:
            yield f"{type(part).__name__}: {str(part)[:300]}"


@pytest.mark.attack("C03", "C17", "B29", "B30")
async def test_every_answer_to_every_caller_is_one_that_the_document_names(
    api: httpx.AsyncClient, tokens: dict[Role, str], operator_token: str
) -> None:
    made = cases()
    assert len({case.operation.label for case in made}) >= 60, "the document has lost operations"
    credentials = {**{role.value: token for role, token in tokens.items()}, "operator": operator_token}
    wrong: dict[str, str] = {}
    for caller in CALLERS:
        statuses: set[int] = set()
        for case in made:
            request = prepared(case, credentials.get(caller))
            if request is None:
                continue
            answer = await answered(api, request)
            statuses.add(answer.status_code)
            for complaint in complaints(case, answer):
                wrong.setdefault(f"{case.operation.label} as {caller} {answer.status_code}", complaint)
        assert statuses >= ({401} if caller == "nobody" else {401, 422} if caller == "operator" else {200, 422}), caller
    assert wrong == {}, "\n".join(f"{where}: {what}" for where, what in wrong.items())


async def answered(api: httpx.AsyncClient, request: requests.PreparedRequest) -> httpx.Response:
    """The application's answer to a request as it was prepared, byte for byte."""
    body: Any = request.body
    headers: Any = dict(request.headers)
    answer = await api.request(str(request.method), str(request.url), content=body, headers=headers)
    answer.elapsed = timedelta(0)  # which only a transport that measures would set
    return answer
