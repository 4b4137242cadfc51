"""RFC 9457 problem details: the one place where failures become HTTP.

A problem has a stable ``code`` and a ``hint`` that says what to do. What was not anticipated is a bug: the caller gets
the request id and nothing else, the log gets everything.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from app.core import errors
from app.core.errors import TocsinError, Unavailable
from app.http.faults import translate
from app.http.json import to_json

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

# Category to status: the only such table.
STATUS_BY_CATEGORY: dict[type[TocsinError], int] = {
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Invalid: 422,
    errors.MalformedRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.Unavailable: 503,
}
# What the framework or the frame refuses before any code of ours sees it.
FRAME_CODES = {
    400: "malformed",
    404: "route.not_found",
    405: "route.method_not_allowed",
    408: "request.too_slow",
    413: "payload_too_large",
    431: "request.headers_too_large",
    500: "internal",
    503: "unavailable.timeout",
}
VALIDATION_CODE = "validation"
# What of a failure's context is meant for the caller; all else is for the log.
EXTENSIONS = ("errors", "problems", "reason_code")
MAX_ERRORS = 50
MAX_WHERE = 200
MAX_MESSAGE = 500


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URI reference of the kind of problem.", examples=["/problems/incident.not_found"])
    title: str = Field(description="What happened; the same for each occurrence.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time.")
    code: str = Field(description="Stable identifier to program against.")
    hint: str = Field("", description="What to do about it.")
    request_id: str = Field("", description="Quote this when asking for help.")


class FieldError(BaseModel):
    """One field that is wrong."""

    where: str = Field(description="Where it is, as body.name or query.limit.")
    message: str


class ValidationProblem(Problem):
    """A problem with the fields that are wrong, where it is about fields."""

    errors: list[FieldError] = Field(default_factory=list)


def status_of(kind: type[TocsinError]) -> int:
    """This will return the HTTP status of an anticipated failure by its category."""
    return next((status for category, status in STATUS_BY_CATEGORY.items() if issubclass(kind, category)), 500)


def known_problems() -> dict[str, type[TocsinError]]:
    """This will return every loaded anticipated failure by its code: the registry is the class tree itself.

    Raises:
        ValueError: Two classes claim one code.
    """
    found: dict[str, type[TocsinError]] = {}
    waiting = [TocsinError]
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        # A subclass that inherits its parent's code is the same problem to a caller.
        ours = kind.__module__.startswith("app.") and "code" in vars(kind)
        if ours and found.setdefault(kind.code, kind) is not kind:
            raise ValueError(f"{kind.__qualname__} and {found[kind.code].__qualname__} share the code {kind.code!r}")
    return found


def problem_responses(*kinds: type[TocsinError]) -> dict[int | str, dict[str, Any]]:
    """This will describe the problems that an endpoint can answer, for ``responses=``."""
    described: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status = status_of(kind)
        text = f"{kind.title} (`{kind.code}`)"
        known = described.get(status)
        described[status] = {
            "model": Problem,
            "description": f"{known['description']}; {text}" if known else text,
        }
    return described


def problem_response(
    *,
    status: int,
    code: str,
    title: str,
    detail: str = "",
    hint: str = "",
    request_id: str = "",
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> Response:
    """This will build the response; also used by what answers in front of FastAPI."""
    body = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail or title,
        "code": code,
        "hint": hint,
        "request_id": request_id,
        **(extra or {}),
    }
    return Response(to_json(body), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """This will answer every failure of the application as a problem document."""
    app.add_exception_handler(TocsinError, _anticipated)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _from_framework)
    app.add_exception_handler(SQLAlchemyError, _from_database)
    # The framework's own last resort is plain text; it still re-raises, so that the frame logs the bug.
    app.add_exception_handler(Exception, _unexpected)


def frame_problem(status: int, *, request_id: str, detail: str = "", hint: str = "") -> Response:
    """This will build the answer of what refuses in front of FastAPI."""
    retry = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem_response(
        status=status,
        code=FRAME_CODES[status],
        title=HTTPStatus(status).phrase,
        detail=detail,
        hint=hint,
        request_id=request_id,
        headers=retry,
    )


def unexpected(request_id: str) -> Response:
    """This will build the answer to a bug: no detail leaves the house."""
    return problem_response(
        status=500,
        code=FRAME_CODES[500],
        title="Something went wrong on our side",
        hint="Try again; if it persists, report the request id.",
        request_id=request_id,
    )


def _request_id(request: Request) -> str:
    return str(request.scope.get("tocsin.request_id", ""))


async def _unexpected(request: Request, error: Exception) -> Response:
    return unexpected(_request_id(request))


async def _anticipated(request: Request, error: Exception) -> Response:
    if not isinstance(error, TocsinError):
        raise error
    status = status_of(type(error))
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        # Without a category it was never meant for a caller: its words may be about our own insides.
        raise error
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    log.info("request.refused", code=error.code, status=status, detail=error.detail)
    return problem_response(
        status=status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        hint=error.hint,
        request_id=_request_id(request),
        headers=headers,
        extra={name: error.context[name] for name in EXTENSIONS if name in error.context},
    )


async def _from_database(request: Request, error: Exception) -> Response:
    known = translate(error)
    if known is None:
        # Raised again on purpose: what we did not anticipate is a bug, and the frame logs it with its stack.
        raise error
    log.warning("request.database_failed", code=known.code, error=type(error).__name__)
    return await _anticipated(request, known)


async def _not_valid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    found = [
        FieldError(
            where=_shown(".".join(str(part) for part in item["loc"]), MAX_WHERE),
            message=_shown(str(item["msg"]), MAX_MESSAGE),
        ).model_dump()
        for item in error.errors()[:MAX_ERRORS]
    ]
    malformed = any(item["type"] == "json_invalid" for item in error.errors())
    return problem_response(
        status=400 if malformed else 422,
        code=FRAME_CODES[400] if malformed else VALIDATION_CODE,
        title="The body is not JSON" if malformed else "Some fields are not valid",
        detail="; ".join(f"{item['where']}: {item['message']}" for item in found[:3]),
        hint="See 'errors' for each field.",
        request_id=_request_id(request),
        extra={"errors": found},
    )


def _shown(text: str, limit: int) -> str:
    """The caller's own words, cut, and without the lone surrogates that UTF-8 cannot carry back."""
    return text[:limit].encode("utf-8", "backslashreplace").decode()


async def _from_framework(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem_response(
        status=error.status_code,
        code=FRAME_CODES.get(error.status_code, f"http.{error.status_code}"),
        title=HTTPStatus(error.status_code).phrase,
        detail=str(error.detail),
        request_id=_request_id(request),
        headers=dict(error.headers or {}),
    )
