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
MAX_CURSOR = 1024


class InvalidCursor(MalformedRequest):
    """The cursor was not made by us, for this tenant and this list."""

    code = "cursor.invalid"
    title = "The cursor is not valid"
    hint = "Use next_cursor of the previous page unchanged, with the same filters, or start without a cursor."


class CursorPage(BaseModel, Generic[T]):
    """One page; ``next_cursor`` is null on the last."""

    items: list[T]
    next_cursor: str | None = Field(description="Pass as ?cursor= for the next page; null on the last one.")


def encode_cursor(key: bytes, binding: bytes, value: object) -> str:
    """This will sign a JSON-able position for one binding (tenant, list and filters)."""
    # default: asyncpg hands out a subclass of UUID, which orjson does not take for one.
    body = orjson.dumps(value, default=str)
    return _text(_mac(key, binding, body) + body)


def decode_cursor(key: bytes, binding: bytes, cursor: str) -> Any:
    """This will return the position.

    Raises:
        InvalidCursor: It was tampered with, or made for something else.
    """
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidCursor from None
    mac, body = raw[:MAC_SIZE_BYTES], raw[MAC_SIZE_BYTES:]
    # Compared with our own spelling as well: base64 has several for the same bytes, and we make only one.
    if not hmac.compare_digest(mac, _mac(key, binding, body)) or _text(raw) != cursor:
        raise InvalidCursor
    return orjson.loads(body)


def _mac(key: bytes, binding: bytes, body: bytes) -> bytes:
    return hmac.digest(key, len(binding).to_bytes(4, "big") + binding + body, hashlib.sha256)[:MAC_SIZE_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


class Page:
    """The page that a request asks for.

    Attributes:
        limit: Items wanted; ask the database for one more to know whether a further page exists.
    """

    def __init__(self, request: Request, *, limit: int, cursor: str | None) -> None:
        self._request = request
        self._cursor = cursor
        self.limit = limit

    @property
    def after(self) -> Any:
        """The position from the cursor, any JSON value, or None on the first page.

        Raises:
            InvalidCursor: The cursor is not one of ours for this tenant, list and filters.
        """
        return decode_cursor(self._key(), self._binding(), self._cursor) if self._cursor is not None else None

    @property
    def after_id(self) -> UUID | None:
        """The position as an id.

        Raises:
            InvalidCursor: It is none.
        """
        after = self.after
        if after is None:
            return None
        try:
            return UUID(str(after))
        except ValueError:
            raise InvalidCursor from None

    def build(self, items: Sequence[T], *, key: Callable[[T], object]) -> CursorPage[T]:
        """This will cut ``limit + 1`` items down to a page; ``key`` gives an item's position."""
        page = list(items[: self.limit])
        more = len(items) > self.limit
        cursor = encode_cursor(self._key(), self._binding(), key(page[-1])) if more else None
        return CursorPage[T](items=page, next_cursor=cursor)

    def _key(self) -> bytes:
        return cursor_key(self._request.app.state.resources.get(Settings))

    def _binding(self) -> bytes:
        # Read late: dependencies run in the order of their parameters, and the principal's may come after the page's.
        tenant = getattr(self._request.state, "tenant_id", "")
        filters = sorted(
            item for item in self._request.query_params.multi_items() if item[0] not in ("cursor", "limit")
        )
        return orjson.dumps([tenant, self._request.url.path, filters])


def cursor_key(settings: Settings) -> bytes:
    """This will return the signing key, derived from the token pepper where none is set."""
    own = settings.http.cursor_key.get_secret_value()
    secret = own or settings.security.token_pepper.get_secret_value()
    return hashlib.sha256(b"tocsin cursor\x00" + secret.encode()).digest()


def _page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items a page.")] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=MAX_CURSOR, description="next_cursor of the previous page; keep the filters.")
    ] = None,
) -> Page:
    return Page(request, limit=limit, cursor=cursor)


PageParams = Annotated[Page, Depends(_page)]
