"""The REST API: every domain's router on one FastAPI application."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app.core.errors import Forbidden, Unauthenticated, Unavailable
from app.core.resources import Resources
from app.http import health
from app.http.health import application_version
from app.http.problem import MEDIA_TYPE, Problem, ValidationProblem, install, problem_responses
from app.ingest.dropin.openapi import openapi_path_items
from app.ingest.hot import openapi_path_item

ROUTERS = (
    "app.auth.endpoints",
    "app.ingest.endpoints",
    "app.ingest.verification.endpoints",
    "app.ingest.receipts.endpoints",
    "app.ingest.replays.endpoints",
    "app.ingest.trials.endpoints",
    "app.ingest.heartbeats.endpoints",
    "app.ingest.checks.endpoints",
    "app.ingest.limits.endpoints",
    "app.incidents.endpoints",
    "app.remediation.endpoints",
    "app.enhancement.endpoints",
    "app.operations.endpoints.jobs",
    "app.operations.endpoints.tenants",
    "app.operations.endpoints.limits",
    "app.operations.endpoints.audit",
)
TITLE = "Tocsin"
DESCRIPTION = (
    "Signed alerts and tickets in; incidents, verified remediation and enriched tickets out. "
    "Errors are RFC 9457 problem details with a stable `code`. Lists are pages with a signed cursor. "
    "Writes take an `Idempotency-Key`."
)
# What every endpoint of a domain can answer besides what it declares itself.
COMMON_PROBLEMS: dict[int | str, dict[str, Any]] = {
    **problem_responses(Unauthenticated, Forbidden, Unavailable),
    400: {
        "model": Problem,
        "description": "The body is not JSON (`malformed`), or a cursor is not ours (`cursor.invalid`)",
    },
    408: {"model": Problem, "description": "The body did not come in time (`request.too_slow`)"},
    413: {"model": Problem, "description": "The body is too large (`payload_too_large`)"},
    422: {"model": ValidationProblem, "description": "Some fields are not valid (`validation`)"},
    431: {"model": Problem, "description": "The headers are too large (`request.headers_too_large`)"},
}
_PROBLEM_SCHEMAS = frozenset(f"#/components/schemas/{model.__name__}" for model in (Problem, ValidationProblem))


def create_api(resources: Resources, *, interactive: bool) -> FastAPI:
    """This will build the FastAPI application.

    Args:
        resources: What the process built at start.
        interactive: True serves the interactive documentation; production does not.
    """
    api = FastAPI(
        title=TITLE,
        version=application_version(),
        description=DESCRIPTION,
        docs_url="/docs" if interactive else None,
        redoc_url=None,
        openapi_url="/openapi.json" if interactive else None,
        # A redirect to "the same path with a slash" would be built from the caller's Host header.
        redirect_slashes=False,
        routes=[*_routes(), *health.router.routes],
    )
    api.state.resources = resources
    install(api)
    api.openapi = openapi_document  # type: ignore[method-assign]
    return api


def _routes() -> list[APIRoute]:
    """Every domain's routes, as they are.

    ``include_router`` would make each of them a second time, and not before the first request comes: nothing else is served
    for that quarter of a second.
    """
    return [route for name in ROUTERS for route in importlib.import_module(name).router.routes]


@cache
def openapi_document() -> dict[str, Any]:
    """This will return the OpenAPI document, with the ingest routes that FastAPI does not serve itself."""
    routes = [*_with_common_problems(_routes()), *health.router.routes]
    document = get_openapi(title=TITLE, version=application_version(), description=DESCRIPTION, routes=routes)
    document["paths"]["/in/{source}"] = openapi_path_item()
    document["paths"].update(openapi_path_items())
    for path in document["paths"].values():
        for operation in path.values():
            _name_problems(operation)
    return document


def _with_common_problems(routes: list[APIRoute]) -> Iterator[APIRoute]:
    """Copies for the document, with what every endpoint can answer; what one says of itself holds."""
    common = APIRoute("/", _routes, response_model=None, responses=COMMON_PROBLEMS)
    for route in routes:
        described = copy.copy(route)
        described.responses = {**common.responses, **route.responses}
        described.response_fields = {**common.response_fields, **route.response_fields}
        yield described


def _name_problems(operation: dict[str, Any]) -> None:
    """Give problem documents their media type, which the framework takes for plain JSON."""
    for response in operation.get("responses", {}).values():
        content = response.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("$ref") in _PROBLEM_SCHEMAS:
            content[MEDIA_TYPE] = content.pop("application/json")
