from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.routing import Route

from app.auth.rules import Role
from app.core.resources import Resources
from app.db.engine import Database
from app.db.migrate import ROOT
from app.embedded.valkey import free_port
from app.http import health
from app.main import Application, create_app
from app.settings import Settings
from app.settings.http import HttpSettings
from app.settings.production import WeakSettings
from app.settings.telemetry import TelemetrySettings
from tests.fixtures.database import PostgresServer
from tests.fixtures.process import make_settings
from tests.http.test_problem import assert_problem


async def lifespan(application: Application, *, until: str = "lifespan.shutdown.complete") -> list[dict[str, Any]]:
    """Start and stop the application as a server does; returns what it said."""
    said: list[dict[str, Any]] = []
    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, Any]:
        return next(asked)

    async def send(message: Any) -> None:
        said.append(message)

    await application({"type": "lifespan"}, receive, send)
    return said


def on_free_ports(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update={"http": HttpSettings(metrics_port=0), **changes})


async def test_it_starts_and_stops(settings: Settings) -> None:
    said = await lifespan(create_app(on_free_ports(settings)))
    assert [message["type"] for message in said] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_every_route_is_whole_before_the_first_request(application: Application) -> None:
    # A router that is included makes its routes when it is first asked, on the loop that takes deliveries.
    assert {type(route) for route in application.api.routes} <= {APIRoute, Route}


def test_the_collector_leaves_alone_what_a_process_has_started_with() -> None:
    script = (
        "import gc, app.core.heap as heap; kept = [[] for _ in range(5000)]; heap.settle_heap();"
        "print(gc.get_freeze_count() > 5000, gc.get_threshold()[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "20000"]


@pytest.mark.parametrize(("role", "reason"), [("postgres", "superuser"), ("tocsin_owner", "own")])
@pytest.mark.parametrize("setting", ["app_url", "system_url"])
async def test_it_refuses_to_start_as_a_role_that_rls_does_not_bind(
    postgres: PostgresServer, database_name: str, settings: Settings, role: str, reason: str, setting: str
) -> None:
    unsafe = SecretStr(postgres.server.url_for(role, database=database_name))
    database = postgres.settings_for(database_name, **{setting: unsafe})
    said = await lifespan(create_app(on_free_ports(settings, database=database)))
    assert [message["type"] for message in said] == ["lifespan.startup.failed"]
    assert reason in said[0]["message"]
    assert f"TOCSIN_DATABASE__{setting.upper()}" in said[0]["message"]


async def test_production_refuses_weak_secrets(settings: Settings) -> None:
    with pytest.raises(WeakSettings, match="TOCSIN_HTTP__PUBLIC_URL"):
        create_app(settings.model_copy(update={"environment": "production"}))


async def test_metrics_are_not_on_the_public_port(api: httpx.AsyncClient) -> None:
    for path in ("/metrics", "/debug", "/.env", "/openapi.yaml"):
        assert (await api.get(path)).status_code == 404


async def test_production_shows_no_interactive_pages(settings: Settings, resources: Resources) -> None:
    production = settings.model_copy(
        update={
            "environment": "production",
            "http": HttpSettings(public_url="https://tocsin.example"),
            "security": settings.security.model_copy(update={"egress_allow": []}),
        }
    )
    transport = httpx.ASGITransport(app=create_app(production, resources))
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as client:
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert (await client.get(path)).status_code == 404


async def test_the_pages_are_there_in_development(api: httpx.AsyncClient) -> None:
    assert "text/html" in (await api.get("/docs")).headers["content-type"]


async def test_intake_goes_past_the_framework(api: httpx.AsyncClient) -> None:
    answer = await api.post("/in/nothing-there", content=b"{}")
    assert answer.status_code == 401
    assert "x-request-id" not in answer.headers


async def test_intake_refuses_headers_without_end(api: httpx.AsyncClient) -> None:
    for headers in ([("x", "v" * 100_000)], [(f"x-{number}", "v") for number in range(1_000)]):
        assert (await api.post("/in/nothing-there", headers=headers)).status_code == 431


async def test_liveness_says_nothing_else(api: httpx.AsyncClient) -> None:
    answer = await api.get("/healthz?verbose=1")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readiness_asks_the_database_and_the_cache(api: httpx.AsyncClient) -> None:
    answer = await api.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]) == (200, {"database": "ok", "cache": "ok"})


async def test_health_has_the_documented_shape(api: httpx.AsyncClient) -> None:
    answer = await api.get("/health")
    body = answer.json()
    assert list(body) == ["status", "application", "version", "checks"]
    assert body["application"] == "tocsin"
    assert set(body["checks"]) == {"database", "cache", "queue"}
    assert {check["status"] for check in body["checks"].values()} <= {"ok", "degraded"}


async def test_the_queue_page_counts_without_naming_anyone(api: httpx.AsyncClient, tenant_id: object) -> None:
    answer = await api.get("/health/queue")
    body = answer.json()
    assert answer.status_code == 200
    assert set(body["queues"]) == {"intake", "remediation", "enhancement", "notification", "maintenance"}
    assert set(body["queues"]["intake"]) == {"due", "oldest_due_s", "published", "running", "dead"}
    assert str(tenant_id) not in answer.text


@pytest.fixture
def broken_database(postgres: PostgresServer, database_name: str) -> Database:
    nowhere = f"postgresql+asyncpg://tocsin_app:hunter2@127.0.0.1:{free_port()}/nowhere"
    urls = {"app_url": SecretStr(nowhere), "system_url": SecretStr(nowhere)}
    return Database.from_settings(postgres.settings_for(database_name, **urls))


async def test_strangers_who_ask_for_health_all_at_once_cost_one_look(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may ask, and the connections that a look takes are those that tokens and sources are looked up with (I8)."""
    looks: list[str] = []

    def counted(name: str) -> None:
        real = getattr(health, name)

        async def look(*args: Any, **kwargs: Any) -> Any:
            looks.append(name)
            return await real(*args, **kwargs)

        monkeypatch.setattr(health, name, look)

    for name in ("check_database", "check_redis", "check_queues"):
        counted(name)
    answers = await asyncio.gather(*(api.get("/health") for _ in range(20)), *(api.get("/readyz") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(looks) < 20
    await api.get("/health/db")
    assert looks[-1] == "check_database", "what was seen is not kept"


@pytest.mark.parametrize("path", ["/readyz", "/health", "/health/db", "/health/queue"])
async def test_a_database_that_is_away_shows_and_gives_nothing_away(
    api: httpx.AsyncClient, resources: Resources, database: Database, broken_database: Database, path: str
) -> None:
    resources.provide(Database, broken_database)
    try:
        answer = await api.get(path)
    finally:
        resources.provide(Database, database)
        await broken_database.dispose()
    assert answer.status_code == 503
    assert "hunter2" not in answer.text
    assert "127.0.0.1" not in answer.text
    assert (await api.get("/healthz")).status_code == 200


async def test_a_request_while_the_database_is_away_is_worth_a_retry(
    api: httpx.AsyncClient,
    resources: Resources,
    database: Database,
    broken_database: Database,
    tokens: dict[Role, str],
) -> None:
    headers = {"authorization": tokens[Role.VIEWER]}
    assert (await api.get("/v1/incidents", headers=headers)).status_code == 200
    resources.provide(Database, broken_database)
    try:
        answer = await api.get("/v1/incidents", headers=headers)
    finally:
        resources.provide(Database, database)
        await broken_database.dispose()
    assert_problem(answer, status=503, code="database.unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "hunter2" not in answer.text
    assert "127.0.0.1" not in answer.text


async def test_a_cursor_of_another_tenant_is_refused(
    api: httpx.AsyncClient, tokens: dict[Role, str], other_tokens: dict[Role, str]
) -> None:
    # /v1/tokens lists the four tokens that the fixture made, so that there is a second page.
    page = await api.get("/v1/tokens?limit=1", headers={"authorization": tokens[Role.ADMIN]})
    path = f"/v1/tokens?limit=1&cursor={page.json()['next_cursor']}"
    assert (await api.get(path, headers={"authorization": tokens[Role.ADMIN]})).status_code == 200
    stolen = await api.get(path, headers={"authorization": other_tokens[Role.ADMIN]})
    assert_problem(stolen, status=400, code="cursor.invalid")


async def test_without_redis_the_process_stays_ready(
    postgres: PostgresServer, database_name: str, database: Database
) -> None:
    from app.wiring import build_resources, close_resources

    settings = make_settings(postgres, database_name, f"redis://127.0.0.1:{free_port()}/0")
    resources = build_resources(settings, database=database)
    transport = httpx.ASGITransport(app=create_app(settings, resources))
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as client:
        ready, health = await client.get("/readyz"), await client.get("/health")
    await close_resources(resources, keep_database=True)
    assert (ready.status_code, ready.json()["checks"]["cache"]) == (200, "failing")
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")


async def test_metrics_have_their_own_port(settings: Settings) -> None:
    application = create_app(on_free_ports(settings, telemetry=TelemetrySettings()))
    await application.start()
    try:
        assert application.metrics_port is not None
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{application.metrics_port}/metrics")).text
        assert "tocsin_http_requests_total" in text
    finally:
        await application.stop()
