"""What an attacker aims at: one tenant's sources behind the whole application, and what is left of an attack there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.hot import REFUSED
from app.ingest.service import CreatedSource
from app.main import Application
from app.net.signing import RefusalReason
from tests.factories.ingest import alert_body, committed_source, signed_headers
from tests.fixtures.wait import wait_until

Pairs = Sequence[tuple[str, str | bytes]]
NOBODYS = "/in/" + "q" * 26


def raw(pairs: Pairs) -> list[tuple[bytes, bytes]]:
    """Headers as bytes, which no client of ours has to understand."""
    return [(n.encode(), v if isinstance(v, bytes) else v.encode("latin-1")) for n, v in pairs]


@dataclass
class Target:
    """The application, a source, and the tenant's rows."""

    application: Application
    api: httpx.AsyncClient
    resources: Resources
    database: Database
    tenant_id: TenantId
    clock: FakeClock
    source: CreatedSource

    async def source_of(self, **changes: Any) -> CreatedSource:
        """This will make another source of the same tenant."""
        return await committed_source(self.resources, self.tenant_id, **changes)

    def signed(
        self, body: bytes, *, source: CreatedSource | None = None, delivery_id: str = "msg_1"
    ) -> dict[str, str | bytes]:
        """This will return the headers that the rightful sender would send."""
        return dict(signed_headers(source or self.source, body, self.clock.now(), delivery_id))

    async def post(
        self,
        body: bytes,
        headers: Mapping[str, str | bytes] | Pairs,
        *,
        source: CreatedSource | None = None,
        path: str | None = None,
    ) -> httpx.Response:
        """This will send exactly these headers and bytes."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        url = path if path is not None else (source or self.source).url_path
        return await self.api.post(url, content=body, headers=raw(pairs))

    async def send(
        self, body: bytes | None = None, *, source: CreatedSource | None = None, delivery_id: str = "msg_1"
    ) -> httpx.Response:
        """This will send as the rightful sender does."""
        content = body if body is not None else alert_body()
        return await self.post(content, self.signed(content, source=source, delivery_id=delivery_id), source=source)

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """This will read as the tenant."""
        async with tenant_session(self.database, self.tenant_id) as session:
            return [dict(row) for row in (await session.execute(text(statement), values)).mappings()]

    async def change(self, statement: str, **values: Any) -> None:
        """This will damage as the tenant."""
        async with tenant_session(self.database, self.tenant_id) as session:
            await session.execute(text(statement), values)

    async def deliveries(self) -> list[dict[str, Any]]:
        return await self.rows("select * from deliveries order by id")

    async def refuses(
        self,
        body: bytes,
        headers: Mapping[str, str | bytes] | Pairs,
        *,
        source: CreatedSource | None = None,
        path: str | None = None,
        writes_down: bool = True,
    ) -> None:
        """This will send and insist on the uniform refusal: the stranger's answer, nothing kept, counted once.

        Args:
            writes_down: The tenant is told; not where the request names no source of its.
        """
        before, counted = await self._left(), _refusals()
        answer = await self.post(body, headers, source=source, path=path)
        stranger = await self.post(body, [("content-type", "application/json")], path=NOBODYS)
        assert answer.status_code == 401, f"{answer.status_code} {answer.text}"
        assert (answer.content, answer.headers.raw) == (stranger.content, stranger.headers.raw)
        assert _refusals() == counted + 2, "each refusal is counted once"
        assert (await self._left())[:2] == before[:2], "something was kept of a refused request"
        if writes_down:

            async def told() -> bool:
                return (await self._left())[2] > before[2]

            await wait_until(told, what="the refusal is written down for its tenant")

    async def _left(self) -> tuple[int, int, int]:
        (row,) = await self.rows(
            "select (select count(*) from deliveries) as deliveries, (select count(*) from jobs) as jobs,"
            " (select coalesce(sum(count), 0)::int from source_refusals) as refusals"
        )
        return row["deliveries"], row["jobs"], row["refusals"]


def _refusals() -> float:
    reasons = ["unknown_source", "challenged", *(reason.value for reason in RefusalReason)]
    return sum(float(REFUSED.labels(reason)._value.get()) for reason in reasons)
