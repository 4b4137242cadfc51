"""The intake route beside a bare application that does the least a webhook receiver can do; in one run, on one machine.

``python -m bench.ingest`` prints the requests per second of both and their ratio. The bare one reads the body,
verifies the HMAC, parses the JSON and answers; ours stores, deduplicates and commits on top.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hmac
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import uvicorn
from pydantic import SecretStr

SECRET = os.urandom(32)
BODY_KEYS = {"title": "Queue is deep", "severity": "high", "status": "firing", "description": "x" * 600}


def bare_app(secret: bytes) -> Any:
    """Verify the HMAC, parse, answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        headers = dict(scope["headers"])
        signed = b"%b.%b.%b" % (headers[b"webhook-id"], headers[b"webhook-timestamp"], body)
        expected = b"v1," + base64.b64encode(hmac.digest(secret, signed, "sha256"))
        ok = hmac.compare_digest(expected, headers[b"webhook-signature"]) and orjson.loads(body)
        await send(
            {"type": "http.response.start", "status": 202 if ok else 401, "headers": [(b"content-length", b"2")]}
        )
        await send({"type": "http.response.body", "body": b"ok"})

    return app


def serve(build: Callable[[], Any], port: int) -> None:
    """Run one uvicorn process."""

    async def run() -> None:
        config = uvicorn.Config(
            build(), host="127.0.0.1", port=port, log_level="error", access_log=False, lifespan="off", http="httptools"
        )
        await uvicorn.Server(config).serve()

    import uvloop

    uvloop.run(run())


def build_ours(settings_json: str) -> Any:
    from app.ingest.hot import IngestApp
    from app.settings import Settings
    from app.wiring import build_resources

    return IngestApp(build_resources(Settings.model_validate_json(settings_json)))


class Client(asyncio.Protocol):
    """One keep-alive connection that sends the next request when the answer is there."""

    def __init__(self, requests: Callable[[], bytes], until: float, done: asyncio.Future[int]) -> None:
        self._requests = requests
        self._until = until
        self._done = done
        self._buffer = b""
        self.count = 0
        self.times: list[float] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._started = time.perf_counter()
        self._transport.write(self._requests())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        if b" 202 " not in head[:20]:
            self._transport.close()
            if not self._done.done():
                self._done.set_exception(RuntimeError(self._buffer[:300].decode()))
            return
        self._buffer = b""
        self.count += 1
        self.times.append(time.perf_counter() - self._started)
        if time.perf_counter() < self._until:
            self._send()
        elif not self._done.done():
            self._transport.close()
            self._done.set_result(self.count)


def _same(client: Client) -> Client:
    return client


def requests_for(path: str, secret: bytes) -> Callable[[], bytes]:
    serial = iter(range(10**9))
    stamp = str(int(time.time())).encode()
    run = os.urandom(4).hex().encode()

    def one() -> bytes:
        number = b"msg_%b_%d" % (run, next(serial))
        body = orjson.dumps(BODY_KEYS | {"id": number.decode()})
        signature = base64.b64encode(hmac.digest(secret, b"%b.%b.%b" % (number, stamp, body), "sha256"))
        return (
            b"POST %b HTTP/1.1\r\nhost: x\r\nuser-agent: bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"webhook-id: %b\r\nwebhook-timestamp: %b\r\nwebhook-signature: v1,%b\r\n\r\n%b"
            % (path.encode(), len(body), number, stamp, signature, body)
        )

    return one


async def load(port: int, path: str, secret: bytes, *, connections: int, seconds: float) -> tuple[float, float]:
    """This will return requests per second and the 99th percentile in milliseconds."""
    loop = asyncio.get_running_loop()
    requests = requests_for(path, secret)
    started = time.perf_counter()
    clients: list[Client] = []
    waiting = []
    for _ in range(connections):
        done: asyncio.Future[int] = loop.create_future()
        client = Client(requests, started + seconds, done)
        await loop.create_connection(partial(_same, client), "127.0.0.1", port)
        clients.append(client)
        waiting.append(done)
    total = sum(await asyncio.gather(*waiting))
    times = sorted(value for client in clients for value in client.times)
    return total / (time.perf_counter() - started), times[int(len(times) * 0.99)] * 1000


async def prepare(server: Any) -> tuple[str, str]:
    """A migrated database, a tenant and a source; returns the settings and the path."""
    from app.core.ids import TenantId, new_id
    from app.db.engine import Database
    from app.db.migrate import upgrade
    from app.db.roles import bootstrap
    from app.db.tenancy import tenant_session
    from app.ingest.service import create_source
    from app.net.keyring import KeyRing
    from app.settings import Settings
    from app.settings.database import DatabaseSettings
    from app.settings.security import SecuritySettings

    connection = await asyncpg.connect(server.dsn_for("postgres", database="postgres"))
    await bootstrap(connection, database="bench")
    await connection.close()
    await asyncio.to_thread(upgrade, server.url_for("tocsin_owner", database="bench"))
    key = f"bench:{base64.b64encode(os.urandom(32)).decode()}"
    settings = Settings(
        _env_file=None,
        database=DatabaseSettings(
            app_url=SecretStr(server.url_for("tocsin_app", database="bench")),
            system_url=SecretStr(server.url_for("tocsin_system", database="bench")),
        ),
        security=SecuritySettings(encryption_keys=[SecretStr(key)], token_pepper=SecretStr("x" * 32)),
    )
    database = Database.from_settings(settings.database)
    from app.core.actor import Actor
    from app.core.clock import SystemClock

    async with tenant_session(database, TenantId(new_id())) as session:
        created = await create_source(
            session,
            keyring=KeyRing.from_settings(settings.security),
            kind="generic",
            name="bench",
            secret="whsec_" + base64.b64encode(SECRET).decode(),
            actor=Actor.system("bench"),
            now=SystemClock().now(),
        )
    await database.dispose()
    plain = settings.model_dump()

    def reveal(value: Any) -> Any:
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        if isinstance(value, dict):
            return {name: reveal(inner) for name, inner in value.items()}
        return [reveal(inner) for inner in value] if isinstance(value, list | tuple) else value

    return orjson.dumps(reveal(plain)).decode(), created.url_path


def start(build: Callable[[], Any], port: int) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=serve, args=(build, port), daemon=True)
    process.start()
    return process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--durable", action="store_true", help="fsync on, as in production")
    options = parser.parse_args()
    from app.embedded.postgres import EmbeddedPostgres
    from app.embedded.valkey import free_port

    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder), durable=options.durable)
        server.start()
        processes = []
        try:
            settings, path = asyncio.run(prepare(server))
            bare_port, our_port = free_port(), free_port()
            processes = [
                start(lambda: bare_app(SECRET), bare_port),
                start(lambda: build_ours(settings), our_port),
            ]
            time.sleep(3)
            ratios = []
            for _ in range(options.rounds):
                run = {"connections": options.connections, "seconds": options.seconds}
                bare, bare_p99 = asyncio.run(load(bare_port, "/", SECRET, **run))
                ours, our_p99 = asyncio.run(load(our_port, path, SECRET, **run))
                ratios.append(ours / bare)
                print(
                    f"bare {bare:7.0f}/s p99 {bare_p99:5.1f} ms   tocsin {ours:7.0f}/s p99 {our_p99:5.1f} ms"
                    f"   ratio {ours / bare:.3f}"
                )
            print(f"median ratio {statistics.median(ratios):.3f} at {options.connections} connections")
        finally:
            for process in processes:
                process.terminate()
                process.join(5)
            server.destroy()


if __name__ == "__main__":
    main()
