"""The kinds of targets and what has to be known to reach one. Credentials are kept apart, encrypted."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_BASE_URL = re.compile(
    r"https?://[A-Za-z0-9_.-]{1,253}(?::\d{1,5})?(?:/[A-Za-z0-9_./~-]*)?|https?://\[[0-9A-Fa-f:.]+\](?::\d{1,5})?"
)


def _host(value: str) -> str:
    if _HOST.fullmatch(value) is None:
        raise ValueError("is not a host name or address")
    return value


def _base_url(value: str) -> str:
    if _BASE_URL.fullmatch(value) is None:
        raise ValueError(
            "is not a URL such as https://app.example or http://10.0.0.5:8080/base; no user, query or fragment"
        )
    return value.rstrip("/")


class Connection(BaseModel, extra="forbid", frozen=True):
    """What is not secret about reaching a target."""


class HttpConnection(Connection):
    """An HTTP service. The secret, if any, is sent as a bearer token."""

    base_url: Annotated[str, AfterValidator(_base_url)]


class PostgresConnection(Connection):
    """A PostgreSQL database. The secret is the password."""

    host: Annotated[str, AfterValidator(_host)]
    port: int = Field(5432, ge=1, le=65535)
    database: str = Field("postgres", min_length=1, max_length=63)
    user: str = Field(min_length=1, max_length=63)
    tls: Literal["disable", "prefer", "require", "verify-full"] = "prefer"


class RedisConnection(Connection):
    """A Redis or Valkey server. The secret is the password."""

    host: Annotated[str, AfterValidator(_host)]
    port: int = Field(6379, ge=1, le=65535)
    database: int = Field(0, ge=0, le=1023)
    user: str = Field("", max_length=100)
    tls: bool = False


TARGET_KINDS: dict[str, type[Connection]] = {
    "http": HttpConnection,
    "postgres": PostgresConnection,
    "redis": RedisConnection,
}
