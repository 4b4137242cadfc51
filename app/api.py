"""The REST API: every domain's router on one FastAPI application."""

from __future__ import annotations

import importlib
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.core.errors import Forbidden, Unauthenticated, Unavailable
from app.core.resources import Resources
from app.http import health
from app.http.health import application_version
from app.http.problem import ValidationProblem, install, problem_responses

ROUTERS = (
    "app.auth.endpoints",
    "app.ingest.endpoints",
    "app.incidents.endpoints",
    "app.remediation.endpoints",
    "app.enhancement.endpoints",
    "app.operations.endpoints",
)
DESCRIPTION = (
    "Signed alerts and tickets in; incidents, verified remediation and enriched tickets out. "
    "Errors are RFC 9457 problem details with a stable `code`. Lists are pages with a signed cursor. "
    "Writes take an `Idempotency-Key`."
)


def create_api(resources: Resources, *, interactive: bool) -> FastAPI:
    """This will build the FastAPI application.

    Args:
        resources: What the process built at start.
        interactive: True serves the interactive documentation; production does not.
    """
    api = FastAPI(
        title="Tocsin",
        version=application_version(),
        description=DESCRIPTION,
        docs_url="/docs" if interactive else None,
        redoc_url=None,
        openapi_url="/openapi.json" if interactive else None,
        responses={
            **problem_responses(Unauthenticated, Forbidden, Unavailable),
            422: {"model": ValidationProblem, "description": "Some fields are not valid (`validation`)"},
        },
    )
    api.state.resources = resources
    install(api)
    for name in ROUTERS:
        api.include_router(importlib.import_module(name).router)
    api.include_router(health.router)
    api.openapi = lambda: openapi_document(api)  # type: ignore[method-assign]
    return api


def openapi_document(api: FastAPI) -> dict[str, Any]:
    """This will return the OpenAPI document, with the ingest route that FastAPI does not serve itself."""
    if api.openapi_schema is None:
        from app.ingest.hot import openapi_path_item

        document = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
        document["paths"]["/in/{source}"] = openapi_path_item()
        api.openapi_schema = document
    return api.openapi_schema
