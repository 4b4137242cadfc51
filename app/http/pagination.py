"""Cursor pages: no COUNT, no offset; a cursor is signed and holds for one tenant only."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import orjson
from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from app.core.errors import MalformedRequest
from app.settings import Settings

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAC_SIZE_BYTES = 16


class InvalidCursor(MalformedRequest):
    """The cursor was not made by us, for this tenant and this list."""

    code = "cursor.invalid"
    title = "The cursor is not valid"
    hint = "Use next_cursor of the previous page unchanged, with the same filters, or start without a cursor."


class CursorPage(BaseModel, Generic[T]):
    """One page; ``next_cursor`` is null on the last."""

    items: list[T]
    next_cursor: str | None = Field(description="Pass as ?cursor= for the next page; null on the last one.")


def encode_cursor(key: bytes, binding: str, value: object) -> str:
    """This will sign a JSON-able position for one binding (tenant, list and filters)."""
    body = orjson.dumps(value)
    mac = _mac(key, binding, body)
    return base64.urlsafe_b64encode(mac + body).rstrip(b"=").decode()


def decode_cursor(key: bytes, binding: str, cursor: str) -> Any:
    """This will return the position.

    Raises:
        InvalidCursor: It was tampered with, or made for something else.
    """
    if len(cursor) > 1024 or not cursor.isascii():
        raise InvalidCursor
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
    except ValueError:
        raise InvalidCursor from None
    mac, body = raw[:MAC_SIZE_BYTES], raw[MAC_SIZE_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, binding, body)):
        raise InvalidCursor
    return orjson.loads(body)


def _mac(key: bytes, binding: str, body: bytes) -> bytes:
    return hmac.digest(key, binding.encode() + b"\x00" + body, hashlib.sha256)[:MAC_SIZE_BYTES]


class Page:
    """The page that a request asks for.

    Attributes:
        limit: Items wanted; ask the database for one more to know whether a further page exists.
        after: Position from the cursor, any JSON value, or None on the first page.
    """

    def __init__(self, *, key: bytes, binding: str, limit: int, after: Any) -> None:
        self._key = key
        self._binding = binding
        self.limit = limit
        self.after = after

    @property
    def after_id(self) -> UUID | None:
        """The position as an id.

        Raises:
            InvalidCursor: It is none.
        """
        if self.after is None:
            return None
        try:
            return UUID(str(self.after))
        except ValueError:
            raise InvalidCursor from None

    def build(self, items: Sequence[T], *, key: Callable[[T], object]) -> CursorPage[T]:
        """This will cut ``limit + 1`` items down to a page; ``key`` gives an item's position."""
        page = list(items[: self.limit])
        more = len(items) > self.limit
        cursor = encode_cursor(self._key, self._binding, key(page[-1])) if more else None
        return CursorPage[T](items=page, next_cursor=cursor)


def cursor_key(settings: Settings) -> bytes:
    """This will return the signing key, derived from the token pepper where none is set."""
    own = settings.http.cursor_key.get_secret_value()
    secret = own or settings.security.token_pepper.get_secret_value()
    return hashlib.sha256(b"tocsin cursor\x00" + secret.encode()).digest()


def _page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items a page.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024, description="next_cursor of the previous page.")] = None,
) -> Page:
    key = cursor_key(request.app.state.resources.get(Settings))
    filters = sorted(
        (name, value) for name, value in request.query_params.multi_items() if name not in ("cursor", "limit")
    )
    # The credential stands for the tenant: a cursor of one tenant's token is noise to another's.
    credential = hashlib.sha256(request.headers.get("authorization", "").encode()).hexdigest()
    binding = orjson.dumps([credential, request.url.path, filters]).decode()
    after = decode_cursor(key, binding, cursor) if cursor is not None else None
    return Page(key=key, binding=binding, limit=limit, after=after)


PageParams = Annotated[Page, Depends(_page)]
