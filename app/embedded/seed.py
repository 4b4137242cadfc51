"""The demo tenant: made once through services and the public API, brought up to date at every start.

What is secret is shown once by the API; the demo keeps its copy in a 0600 file beside the data, so that the curl lines it
prints go on working at the next start.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from pydantic import SecretStr

from app.auth.rules import Role
from app.auth.service import create_token, pepper_of
from app.core.actor import Actor
from app.core.ids import TenantId, new_id
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.embedded.postgres import DATABASE
from app.embedded.sample_data import KNOWLEDGE, PAST_TICKETS
from app.embedded.secrets import read_private, write_private
from app.embedded.stack import MONITOR, Stack
from app.settings import Settings
from app.settings.database import DatabaseSettings
from app.settings.security import SecuritySettings
from app.tenants.service import create_tenant

STATE_FILE = "demo.json"
SERVICE_ALERT = "DemoServiceDown"


class SeedFailed(RuntimeError):
    """The API refused what the demo tenant needs; the message holds its answer."""


@dataclass
class DemoState:
    """What the demo knows of its tenant.

    Attributes:
        sources: Kind to ``{"url_path", "secret"}``.
        targets: Name to id.
    """

    path: Path
    tenant_id: str
    admin_token: str
    sources: dict[str, dict[str, str]]
    targets: dict[str, str]
    desk_id: str = ""

    def save(self) -> None:
        """This will keep the state for the next start."""
        write_private(self.path, {name: value for name, value in vars(self).items() if name != "path"})

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.admin_token}"}


async def ensure_tenant(stack: Stack) -> DemoState:
    """This will find the demo tenant of the data folder or make it; PostgreSQL must be up, the API need not be."""
    path = stack.folder / STATE_FILE
    known = read_private(path)
    if known is not None:
        return DemoState(path=path, **known)
    settings = _settings_of(stack)
    database, tenant_id, now = Database.from_settings(settings.database), TenantId(new_id()), datetime.now(UTC)
    try:
        async with tenant_session(database, tenant_id) as session:
            actor = Actor.system("demo")
            await create_tenant(session, slug="demo", name="Demo", actor=actor, now=now)
            created = await create_token(
                session,
                pepper=pepper_of(settings),
                name="demo admin",
                role=Role.ADMIN,
                expires_at=None,
                actor=actor,
                now=now,
            )
    finally:
        await database.dispose()
    state = DemoState(path, str(tenant_id), created.text, {}, {})
    state.save()
    return state


async def ensure_contents(stack: Stack, state: DemoState) -> None:
    """This will make the demo's sources, desk, targets, rules and documents, and point them to today's ports."""
    async with httpx.AsyncClient(base_url=stack.api_url, headers=state.headers, timeout=10) as api:
        for kind, body in SOURCES.items():
            if kind not in state.sources:
                created = await _post(api, "/v1/sources", body)
                found = {"url_path": created["source"]["url_path"], "secret": created["secret"]}
                state.sources[kind] = {"id": created["source"]["id"], **found}
                state.save()
        await _ensure_desk(api, stack, state)
        for body in _targets(stack):
            if body["name"] in state.targets:
                await _put(api, f"/v1/targets/{state.targets[body['name']]}", body)
            else:
                state.targets[body["name"]] = (await _post(api, "/v1/targets", body))["id"]
                state.save()


SOURCES: dict[str, dict[str, Any]] = {
    "servicedesk": {"kind": "servicedesk", "name": "Demo service desk", "profile": "standard_webhooks"},
    "alertmanager": {"kind": "alertmanager", "name": "Demo Alertmanager", "profile": "bearer"},
}

RULES: list[dict[str, Any]] = [
    {
        "name": "demo service down",
        "match": {"alert": [SERVICE_ALERT]},
        "runbook": "http-service-recovery",
        "targets": {"service": "demo-service"},
        "mode": "auto",
    },
]


async def _ensure_desk(api: httpx.AsyncClient, stack: Stack, state: DemoState) -> None:
    if state.desk_id:
        body = {"base_url": stack.desk_url, "secret": stack.secrets.desk_key}
        (await api.patch(f"/v1/desks/{state.desk_id}", json=body)).raise_for_status()
        return
    desk = {"kind": "servicedesk", "name": "Demo desk", "base_url": stack.desk_url, "secret": stack.secrets.desk_key}
    state.desk_id = (await _post(api, "/v1/desks", desk))["id"]
    for entry in KNOWLEDGE:
        await _post(api, "/v1/knowledge", entry)
    await _add_past_tickets(stack, state)
    for rule in RULES:
        for target in _targets(stack):
            if target["name"] in rule["targets"].values() and target["name"] not in state.targets:
                state.targets[target["name"]] = (await _post(api, "/v1/targets", target))["id"]
        await _post(api, "/v1/runbook-rules", rule)
    state.save()


async def _add_past_tickets(stack: Stack, state: DemoState) -> None:
    """Past tickets come from an import, for which there is a service and not yet an endpoint."""
    from app.enhancement.service import record_ticket

    database = Database.from_settings(_settings_of(stack).database)
    try:
        async with tenant_session(database, TenantId(UUID(state.tenant_id))) as session:
            for ticket in PAST_TICKETS:
                await record_ticket(session, system="servicedesk", ticket=ticket, now=datetime.now(UTC))
    finally:
        await database.dispose()


def _targets(stack: Stack) -> list[dict[str, Any]]:
    loopback = "127.0.0.1"
    return [
        {"name": "demo-service", "kind": "http", "connection": {"base_url": stack.service_url}},
        {
            "name": "live-valkey",
            "kind": "redis",
            "connection": {"host": loopback, "port": stack.valkey.port},
            "secret": stack.secrets.broker_password,
        },
        {
            "name": "live-postgres",
            "kind": "postgres",
            "connection": {
                "host": loopback,
                "port": stack.postgres.port,
                "database": DATABASE,
                "user": MONITOR,
                "tls": "disable",
            },
            "secret": stack.secrets.monitor_password,
        },
    ]


def _settings_of(stack: Stack) -> Settings:
    return Settings(
        _env_file=None,
        database=DatabaseSettings(
            app_url=SecretStr(stack.postgres.url_for("tocsin_app")),
            system_url=SecretStr(stack.postgres.url_for("tocsin_system")),
        ),
        security=SecuritySettings(token_pepper=SecretStr(stack.secrets.token_pepper)),
    )


async def _post(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return _checked(await api.post(path, json=body))


async def _put(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return _checked(await api.put(path, json=body))


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        raise RuntimeError(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:1000]}"
        )
    found: dict[str, Any] = answer.json()
    return found
