"""Servers for outgoing calls to meet: small, on free ports, each answering as its test says."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[asyncio.StreamWriter, "Heard"], Awaitable[None]]


@dataclass(frozen=True)
class Heard:
    """One request as the peer got it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """What a test knows of a running peer."""

    port: int
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    sni: list[str | None] = field(default_factory=list)

    def url(self, path: str = "/", *, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


def reply(body: bytes = b"ok", *, status: str = "200 OK", headers: str = "") -> Answer:
    """An ordinary answer that keeps the connection open."""

    async def answer(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body)
        await writer.drain()

    return answer


@asynccontextmanager
async def peer(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """This will serve ``answer`` on a free port of 127.0.0.1 until the test is done with it."""
    running: set[asyncio.Task[None]] = set()
    known = Peer(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known.connections += 1
        task = asyncio.current_task()
        if task is not None:
            running.add(task)
        try:
            while (heard := await _read_request(reader)) is not None:
                known.heard.append(heard)
                await answer(writer, heard)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: known.sni.append(name)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    known.port = server.sockets[0].getsockname()[1]
    try:
        yield known
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> Heard | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines if line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    return Heard(method, target, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """This will make a self-signed certificate for ``names``: the server's context and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "peer.crt", folder / "peer.key"
    public.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
