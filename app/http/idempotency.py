"""``Idempotency-Key`` on writes: the first answer is stored in the transaction of its effect, and repeated.

A client that did not hear the answer sends the same request with the same key and gets the same answer, marked
``Idempotency-Replayed: true``. The key's row is inserted before the work: a second request with the same key waits on it and
then replays. The same key with another request is refused, as it is a mistake of the caller's.

Source: draft-ietf-httpapi-idempotency-key-header-07, section 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Header, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.core.errors import Invalid
from app.core.ids import new_id
from app.db.tenancy import TenantSession
from app.http.json import to_json
from app.http.models import IdempotencyRow
from app.settings import Settings

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

# Declares the header in the OpenAPI document; ``idempotent`` reads it from the request, where it also sees repeats.
KeyHeader = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="1 to 255 printable ASCII characters of the caller's choice. The same request with the same key within "
        "24 hours is carried out once and answered the same, marked Idempotency-Replayed: true.",
    ),
]
MAX_KEY = 255


class IdempotencyMismatch(Invalid):
    """The key was used for a different request."""

    code = "idempotency.mismatch"
    title = "This Idempotency-Key belongs to a different request"
    hint = "Use a new key for a new request; repeat a request byte for byte under its old key."


class IdempotencyKeyInvalid(Invalid):
    """The key is empty, too long or not printable ASCII."""

    code = "idempotency.key_invalid"
    title = "The Idempotency-Key is not valid"
    hint = "Send 1 to 255 printable ASCII characters, a UUID for example."


async def idempotent(
    request: Request,
    session: TenantSession,
    *,
    principal_id: str,
    now: datetime,
    produce: Callable[[], Awaitable[BaseModel | None]],
    status: int = 200,
    without: frozenset[str] = frozenset(),
) -> Response:
    """This will run ``produce`` once per key and repeat its answer after that; without a key it just runs.

    Args:
        request: The request; its method, path and body are what the key stands for.
        session: The transaction that ``produce`` works in.
        principal_id: Whose key it is.
        now: The current time.
        produce: Does the work and returns the answer's body, or None for an empty one.
        status: Status of the answer.
        without: Fields that are shown once and never stored; a repeated answer has null in them.

    Raises:
        IdempotencyMismatch: The key stands for another request.
        IdempotencyKeyInvalid: The key is not usable.
    """
    keys = request.headers.getlist(HEADER)
    if not keys:
        return _answer(_body_of(await produce()), status)
    key = keys[0]
    if len(keys) > 1 or not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyInvalid
    digest = await _digest(request)
    hours = request.app.state.resources.get(Settings).http.idempotency_hours
    if not await _reserve(session, principal_id, key, digest, now, now + timedelta(hours=hours)):
        return await _replay(session, principal_id, key, digest)
    produced = await produce()
    row = await _find(session, principal_id, key)
    row.status, row.response = status, _body_of(_stripped(produced, without))
    await session.flush()
    return _answer(_body_of(produced), status)


def _stripped(produced: BaseModel | None, without: frozenset[str]) -> BaseModel | None:
    if produced is None or not without:
        return produced
    return produced.model_copy(update=dict.fromkeys(without))


def _body_of(produced: BaseModel | None) -> bytes:
    return b"" if produced is None else to_json(produced)


async def _digest(request: Request) -> bytes:
    """What the key stands for: method, path, query and body, each with its length so that none can pose as another."""
    digest = hashlib.sha256()
    for part in (
        request.method.encode(),
        request.url.path.encode(),
        request.url.query.encode(),
        await request.body(),
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


async def _reserve(
    session: TenantSession, principal_id: str, key: str, digest: bytes, now: datetime, expires_at: datetime
) -> bool:
    """Insert the key's row; False where it exists. Waits for a concurrent request that holds the same key."""
    values = {
        "tenant_id": session.tenant_id,
        "id": new_id(),
        "principal_id": principal_id,
        "key": key,
        "request_hash": digest,
        "created_at": now,
        "expires_at": expires_at,
    }
    statement = insert(IdempotencyRow).values(values)
    # An expired key starts over: its row is taken as if it were new.
    renewed = statement.on_conflict_do_update(
        index_elements=["tenant_id", "principal_id", "key"],
        set_={"request_hash": digest, "created_at": now, "expires_at": expires_at, "status": None, "response": None},
        where=IdempotencyRow.expires_at <= now,
    ).returning(IdempotencyRow.id)
    return (await session.execute(renewed)).scalar_one_or_none() is not None


async def _find(session: TenantSession, principal_id: str, key: str) -> IdempotencyRow:
    statement = select(IdempotencyRow).where(
        IdempotencyRow.tenant_id == session.tenant_id,
        IdempotencyRow.principal_id == principal_id,
        IdempotencyRow.key == key,
    )
    return (await session.execute(statement)).scalar_one()


async def _replay(session: TenantSession, principal_id: str, key: str, digest: bytes) -> Response:
    row = await _find(session, principal_id, key)
    if row.request_hash != digest:
        raise IdempotencyMismatch
    return _answer(row.response or b"", row.status or 200, replayed=True)


def _answer(body: bytes, status: int, *, replayed: bool = False) -> Response:
    headers = {REPLAYED: "true"} if replayed else None
    return Response(body, status_code=status, media_type="application/json" if body else None, headers=headers)
