"""Health endpoints (B7, C21): open to anyone who can reach the port, so they name no tenant and no server."""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request, Response
from redis.asyncio import Redis

from app.core.resources import Resources
from app.db.engine import Database
from app.http.json import to_json
from app.observability.health import Check, check_database, check_queues, check_redis
from app.settings import Settings

router = APIRouter(tags=["health"])


def application_version() -> str:
    """This will return the installed version, or 'unknown' in a bare checkout."""
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "unknown"


@router.get("/healthz", summary="The process answers")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz", summary="The process can do its work: PostgreSQL answers")
async def readyz(request: Request) -> Response:
    # Redis is not part of it: without it ingest goes on and jobs are polled for.
    database = await _database(request.app.state.resources)
    return _answer({"status": database.status}, ok=database.ok)


@router.get("/health", summary="Every part, with how long it took to answer")
async def health(request: Request) -> Response:
    resources = request.app.state.resources
    names = ("database", "cache", "queue")
    checks = dict(
        zip(names, await asyncio.gather(_database(resources), _redis(resources), _queues(resources)), strict=True)
    )
    ok = all(check.ok for check in checks.values())
    body = {
        "status": "healthy" if ok else "unhealthy",
        "application": "tocsin",
        "version": application_version(),
        "checks": {name: _shown(check) for name, check in checks.items()},
    }
    return _answer(body, ok=ok)


@router.get("/health/db", summary="PostgreSQL and this process's pool")
async def health_db(request: Request) -> Response:
    check = await _database(request.app.state.resources)
    return _answer(_shown(check), ok=check.ok)


@router.get("/health/queue", summary="Due, running and dead jobs per queue, and the workers that poll")
async def health_queue(request: Request) -> Response:
    check = await _queues(request.app.state.resources)
    return _answer(_shown(check), ok=check.ok)


async def _database(resources: Resources) -> Check:
    return await check_database(resources.get(Database), timeout_s=resources.get(Settings).http.ready_timeout_s)


async def _redis(resources: Resources) -> Check:
    return await check_redis(resources.get(Redis), timeout_s=resources.get(Settings).http.ready_timeout_s)


async def _queues(resources: Resources) -> Check:
    settings = resources.get(Settings)
    return await check_queues(
        resources.get(Database), timeout_s=settings.http.ready_timeout_s, stale_worker_s=settings.jobs.stale_worker_s
    )


def _shown(check: Check) -> dict[str, Any]:
    return {"status": check.status, "duration_ms": check.duration_ms, **check.details}


def _answer(body: dict[str, Any], *, ok: bool) -> Response:
    return Response(to_json(body), status_code=200 if ok else 503, media_type="application/json")
