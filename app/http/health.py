"""Health endpoints (B7, C21): open to anyone who can reach the port, so they name no tenant and no server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request, Response
from redis.asyncio import Redis

from app.core.resources import Resources
from app.db.engine import Database
from app.http.json import to_json
from app.observability.health import Check, CheckStatus, check_database, check_queues, check_redis, worst_of
from app.settings import Settings

router = APIRouter(tags=["health"])

_OVERALL = {CheckStatus.OK: "healthy", CheckStatus.DEGRADED: "degraded", CheckStatus.FAILING: "unhealthy"}
_FAILING: dict[int | str, dict[str, Any]] = {503: {"description": "A part that is needed fails."}}


@cache
def application_version() -> str:
    """This will return the installed version, or 'unknown' in a bare checkout."""
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "unknown"


@router.get("/healthz", summary="The process answers")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz", summary="The process can do its work: PostgreSQL answers", responses=_FAILING)
async def readyz(request: Request) -> Response:
    database, redis = await asyncio.gather(_database(request), _redis(request))
    # Redis does not decide: without it intake goes on and jobs are polled for, so a replica must stay in rotation.
    body = {"status": database.status, "checks": {"database": database.status, "cache": redis.status}}
    return _answer(body, ok=database.ok)


@router.get("/health", summary="Every part, with how long it took to answer", responses=_FAILING)
async def health(request: Request) -> Response:
    database, redis, queues = await asyncio.gather(_database(request), _redis(request), _queues(request))
    checks = {"database": database, "cache": redis, "queue": queues}
    worst = worst_of(checks.values())
    body = {
        "status": _OVERALL[worst],
        "application": "tocsin",
        "version": application_version(),
        "checks": {name: _shown(check) for name, check in checks.items()},
    }
    return _answer(body, ok=worst is not CheckStatus.FAILING)


@router.get("/health/db", summary="PostgreSQL and this process's pool", responses=_FAILING)
async def health_db(request: Request) -> Response:
    check = await _database(request)
    return _answer(_shown(check), ok=check.ok)


@router.get(
    "/health/queue", summary="Due, running and dead jobs per queue, and the workers that poll", responses=_FAILING
)
async def health_queue(request: Request) -> Response:
    check = await _queues(request)
    return _answer(_shown(check), ok=check.ok)


async def _database(request: Request) -> Check:
    resources = _resources(request)
    timeout_s = resources.get(Settings).http.ready_timeout_s
    return await _shared(request, "database", lambda: check_database(resources.get(Database), timeout_s=timeout_s))


async def _redis(request: Request) -> Check:
    resources = _resources(request)
    timeout_s = resources.get(Settings).http.ready_timeout_s
    return await _shared(request, "redis", lambda: check_redis(resources.get(Redis), timeout_s=timeout_s))


async def _queues(request: Request) -> Check:
    resources = _resources(request)
    settings = resources.get(Settings)
    return await _shared(
        request,
        "queues",
        lambda: check_queues(
            resources.get(Database),
            timeout_s=settings.http.ready_timeout_s,
            stale_worker_s=settings.jobs.stale_worker_s,
        ),
    )


async def _shared(request: Request, name: str, look: Callable[[], Coroutine[Any, Any, Check]]) -> Check:
    """Look once for all who ask at the same time: anyone may, and each look takes one of few connections."""
    state = request.app.state
    if not hasattr(state, "looking"):
        state.looking = {}
    looking: dict[str, asyncio.Task[Check]] = state.looking
    task = looking.get(name)
    if task is None:
        task = looking[name] = asyncio.create_task(look())
        task.add_done_callback(lambda _: looking.pop(name))
    return await asyncio.shield(task)


def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


def _shown(check: Check) -> dict[str, Any]:
    return {"status": check.status, "duration_ms": check.duration_ms, **check.details}


def _answer(body: dict[str, Any], *, ok: bool) -> Response:
    return Response(to_json(body), status_code=200 if ok else 503, media_type="application/json")
