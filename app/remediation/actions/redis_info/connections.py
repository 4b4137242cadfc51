"""Connections to the address that was judged, and to no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.maint_notifications import MaintNotificationsConfig

from app.remediation.rules.connections import RedisConnection


class NamedSSLConnection(SSLConnection):
    """TLS that greets and verifies the server's name, over a connection to its address."""

    def __init__(self, *, server_name: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.server_name = server_name

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "server_hostname": self.server_name}


def client_of(target: RedisConnection, address: str, *, password: str | None, timeout_s: float) -> Redis:
    """This will return a client that dials ``address`` once per connection; close it with ``aclose``."""
    named: dict[str, Any] = {"server_name": target.host} if target.tls else {}
    pool = ConnectionPool(
        connection_class=NamedSSLConnection if target.tls else Connection,
        host=address,
        port=target.port,
        db=target.database,
        username=target.user or None,
        password=password,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        # A server may announce by these where to connect from now on: an address that nobody has judged.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        **named,
    )
    return Redis.from_pool(pool)
