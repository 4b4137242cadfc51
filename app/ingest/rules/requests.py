"""What of a request is kept, and where it goes. Called once for each request, so lean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from uuid import UUID

import orjson

# Whatever may carry a credential, by its name; a profile adds the headers that it knows.
_SECRET_NAME = re.compile(
    rb"auth|token|secret|signature|cookie|passw|credential|session|hmac|jwt|oidc|assertion|client-principal|-sign$|^sign|"
    rb"(?:api|access|routing|integration|service|license|insert|subscription|functions|private|shared)[-_]?key|^(?:x-)?key$"
)
_OF_NO_USE = frozenset(
    b"host connection content-length transfer-encoding accept accept-encoding accept-language expect upgrade keep-alive te"
    b" via forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-real-ip"
    b" traceparent tracestate baggage".split()
)
# In which proxies hand on the address that was asked for: its query may be the sender's secret.
_OF_THE_ADDRESS = frozenset(
    b"x-original-url x-original-uri x-rewrite-url x-forwarded-uri x-forwarded-path x-request-uri x-envoy-original-path"
    b" referer".split()
)
_HEADERS_MAX = 64
# A door's own word may be 512 characters in percent-encoding, twelve for one; cut, it would name something else.
_VALUE_MAX = 8192
_NAMES_REMEMBERED = 512


class HeaderFilter:
    """Keeps the headers that help to understand a delivery and none that authenticates it.

    Args:
        dropped: Further names to drop, lower case: those that the source's profile reads credentials from.
    """

    def __init__(self, dropped: Iterable[str] = ()) -> None:
        self._dropped = frozenset(name.encode() for name in dropped) | _OF_NO_USE | _OF_THE_ADDRESS
        self._names: dict[bytes, str | None] = {}

    def keep(self, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """This will return the kept headers as a JSON object; of a name sent twice the last value stands."""
        names = self._names
        kept: dict[str, str] = {}
        for raw, value in headers[:_HEADERS_MAX]:
            try:
                name = names[raw]
            except KeyError:
                name = self._judge(raw)
            if name is not None:
                kept[name] = value[:_VALUE_MAX].decode("latin-1").replace("\x00", "\ufffd")
        return orjson.dumps(kept).decode()

    def _judge(self, raw: bytes) -> str | None:
        name = raw.lower()
        unwanted = name in self._dropped or _SECRET_NAME.search(name) is not None
        verdict = None if unwanted else name[:128].decode("latin-1").replace("\x00", "\ufffd")
        if len(self._names) < _NAMES_REMEMBERED:
            self._names[raw] = verdict
        return verdict


def secret_context(tenant_id: UUID, source_id: UUID) -> str:
    """This will return what a source's secrets are bound to at rest: moved to another source, they do not decrypt."""
    return f"source-secret:{tenant_id}:{source_id}"


def shard_of(source_id: UUID, shards: int) -> int:
    """This will return the shard of a source: always the same one, so that its deliveries queue up in order."""
    return (source_id.int & 0xFFFF_FFFF) % shards


def sequence_of(delivery_id: UUID) -> int:
    """This will return a delivery's place in the order of arrival: the time bits of its UUIDv7, in 63 bits."""
    return delivery_id.int >> 65


def accepts_type(content_type: bytes | None, allowed: Sequence[str]) -> bool:
    """This will say whether the profile takes this content type; none at all, or an empty one, counts as JSON."""
    if not content_type or content_type == b"application/json":
        return "application/json" in allowed
    media = content_type.split(b";", 1)[0].strip().lower().decode("latin-1")
    return media in allowed or (media.endswith("+json") and "application/json" in allowed)
