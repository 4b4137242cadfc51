"""One tenant at the API, and a sender that ships with nobody."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.main import Application, create_app
from app.settings import Settings
from tests.net.signing.senders import TEXT, hex_mac

Tokens = dict[Role, str]
JSON = ("content-type", "application/json")
STAMP = 1_900_000_000


def mac(message: bytes, key: bytes = b"another secret for the vectors only") -> str:
    return hmac.new(key, message, hashlib.sha512).hexdigest()


def document(**changes: Any) -> dict[str, Any]:
    """A sender that ships with nobody: HMAC-SHA512 over method, time and body, in a header of its own."""

    def vector(name: str, expect: str, *, at: int = STAMP, body: str = "{}", signature: str | None = None) -> Any:
        right = mac(f"POST {at}\n".encode() + b"{}")
        headers = [["x-acme-time", str(at)], ["x-acme-mac", f"acme {signature or right}"]]
        return {
            "name": name,
            "headers": headers,
            "body": body,
            "secrets": ["another secret for the vectors only"],
            "now": "2030-03-17T17:46:40+00:00",
            "expect": expect,
        }

    made = {
        "slug": "acme",
        "title": "Acme's own",
        "source": "Acme's manual, page 7",
        "kind": "hmac",
        "algorithm": "sha512",
        "signature": {"header": "x-acme-mac", "format": {"type": "prefix", "prefix": "acme "}},
        "signed": "{method} {timestamp}\n{body}",
        "timestamp": {"header": "x-acme-time", "format": "unix_s", "signed": True, "past_s": 60, "future_s": 60},
        "delivery_id": {"header": "x-acme-id", "signed": False, "stable_on_retry": True},
        "vectors": [
            vector("right", "accept"),
            vector("body changed", "mismatch", body="[]"),
            vector("stale", "skew", at=STAMP - 61),
            vector("cut", "malformed", signature="00"),
        ],
    }
    return made | changes


@pytest.fixture
async def app(database: Database, resources: Resources) -> AsyncIterator[Application]:
    """The whole application, which forgets sources at once and believes a proxy at 127.0.0.1."""
    found = resources.get(Settings)
    changes: dict[str, Any] = {
        "source_cache_ttl_s": 0.0,
        "unknown_cache_ttl_s": 0.0,
        "refusal_flush_s": 0.0,
        "commit_wait_s": 10.0,
        "public_url": "https://tocsin.example",
        "client_cert_header": "X-Client-Cert",
        "client_cert_proxies": ["127.0.0.0/8"],
    }
    made = found.model_copy(update={"ingest": found.ingest.model_copy(update=changes)})
    resources.provide(Settings, made)
    application = create_app(made, resources)
    yield application
    await application._ingest.aclose()


@pytest.fixture
async def web(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as client:
        yield client


class Tenant:
    """One tenant at the API."""

    def __init__(self, web: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId) -> None:
        self.web = web
        self._tokens = tokens
        self._database = database
        self._tenant_id = tenant_id

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: Role = Role.ENGINEER,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"authorization": self._tokens[role], **(headers or {})}
        return await self.web.request(method, path, json=body, headers=sent)

    async def source(self, **changes: Any) -> dict[str, Any]:
        answer = await self.call("POST", "/v1/sources", {"kind": "generic", "name": "watch"} | changes)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        async with tenant_session(self._database, self._tenant_id) as session:
            return [dict(row) for row in (await session.execute(text(statement))).mappings()]

    async def send(self, path: str, body: bytes, *headers: tuple[str, str]) -> httpx.Response:
        return await self.web.post(path, content=body, headers=[JSON, *headers])


@pytest.fixture
def tenant(web: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId) -> Tenant:
    return Tenant(web, tokens, database, tenant_id)


async def preview(tenant: Tenant, **changes: Any) -> httpx.Response:
    body = b'{"alarm":"disk"}'
    wanted = {
        "profile": "github",
        "secrets": [TEXT],
        "request": {"headers": {"X-Hub-Signature-256": "sha256=" + hex_mac(body)}, "body": body.decode()},
    }
    return await tenant.call("POST", "/v1/sources/preview-verification", wanted | changes)
