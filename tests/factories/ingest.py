"""Sources and requests for tests: the smallest valid ones; a test names what differs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from app.core.actor import Actor
from app.core.clock import Clock
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.ingest.admission import Admission
from app.ingest.hot import IngestApp
from app.ingest.schemas import Intake
from app.ingest.service import CreatedSource, create_source
from app.net.keyring import KeyRing
from app.net.signing import get_profile, sign

ACTOR = Actor.system("test")
EPOCH = datetime(2030, 1, 7, 12, 0, tzinfo=UTC)


async def make_source(session: TenantSession, keyring: KeyRing, **changes: Any) -> CreatedSource:
    """This will create a generic source with a Standard Webhooks secret, unless told otherwise."""
    values: dict[str, Any] = {"kind": "generic", "name": f"source-{new_id().hex[-8:]}", "actor": ACTOR, "now": EPOCH}
    return await create_source(session, keyring=keyring, **(values | changes))


async def committed_source(resources: Resources, tenant_id: TenantId, **changes: Any) -> CreatedSource:
    """This will create a source in a transaction of its own."""
    async with tenant_session(resources.get(Database), tenant_id) as session:
        return await make_source(session, resources.get(KeyRing), **changes)


def alert_body(**changes: Any) -> bytes:
    """A generic alert as its sender writes it."""
    return orjson.dumps(
        {"id": new_id().hex, "title": "Queue is deep", "severity": "high", "status": "firing"} | changes
    )


def signed_headers(
    created: CreatedSource, body: bytes, now: datetime, delivery_id: str | None = None
) -> list[tuple[str, str]]:
    """The headers that make ``body`` verify."""
    assert created.secret is not None
    path = created.url_path.partition("?")[0]
    profile = get_profile(created.source.profile)
    delivered = delivery_id if delivery_id is not None else f"msg_{new_id().hex}"
    return [("content-type", "application/json"), *sign(profile, created.secret, body, now, delivered, path=path)]


@dataclass
class Sender:
    """Sends to an intake route in this process."""

    app: IngestApp
    client: httpx.AsyncClient
    resources: Resources

    async def send(
        self, created: CreatedSource, body: bytes | None = None, *, delivery_id: str | None = None
    ) -> httpx.Response:
        """This will sign and post a body."""
        content = body if body is not None else alert_body()
        now = self.resources.get(Clock).now()  # type: ignore[type-abstract]
        headers = signed_headers(created, content, now, delivery_id)
        return await self.client.post(created.url_path, content=content, headers=headers)


def make_sender(resources: Resources, admission: Admission | None = None) -> Sender:
    """This will build an intake route on the resources and a client in front of it."""
    app = IngestApp(resources, admission)
    transport = httpx.ASGITransport(app=app)
    return Sender(app, httpx.AsyncClient(transport=transport, base_url="http://intake"), resources)


def make_intake(created: CreatedSource, **changes: Any) -> Intake:
    """A verified request as the route hands it to the group commit."""
    body = alert_body()
    values: dict[str, Any] = {
        "id": new_id(),
        "source_id": created.source.id,
        "shard": 0,
        "received_at": EPOCH,
        "external_id": None,
        "replay_key": hashlib.sha256(b"key" + body).digest(),
        "body_sha256": hashlib.sha256(body).digest(),
        "replay_window_s": 600.0,
        "headers": "{}",
        "body": body,
    }
    return Intake(**(values | changes))
