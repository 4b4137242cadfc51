"""One way out: nothing but ``app/net`` opens a connection to a place that a tenant can name.

import-linter forbids the HTTP clients by domain (``.importlinter``, contract *egress*); this looks at every module and
at everything else that can dial.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUARD = "app/net/"
SOURCES = sorted(path for folder in ("app", "workers") for path in (ROOT / folder).rglob("*.py"))
# What opens connections; a module that imports one stands below with its reason, or goes through app/net/outbound.py.
DIALLERS = {
    "aiohttp",
    "aiosmtplib",
    "asyncssh",
    "ftplib",
    "http.client",
    "httpcore",
    "httpx",
    "imaplib",
    "kubernetes",
    "kubernetes_asyncio",
    "ldap3",
    "nntplib",
    "paramiko",
    "poplib",
    "pycurl",
    "requests",
    "smtplib",
    "socket",
    "socketserver",
    "telnetlib",
    "urllib.request",
    "urllib3",
    "websockets",
    "xmlrpc.client",
}
ALLOWED = {
    "app/cli/": "talks to the operator's own installation, on his machine",
    "app/embedded/": "the supervisor of one machine: free ports, its own servers",
    "app/observability/metrics.py": "listens for scrapers; dials nobody",
    "workers/runtime.py": "the host's name",
    "app/observability/tracing.py": "the host's name; spans go to the collector that the operator names",
}
# Calls that dial without any import of the above, and the modules that give them away under any name.
DIALLING_CALLS = {
    "connect_tcp",
    "connect_unix",
    "create_connection",
    "create_datagram_endpoint",
    "create_unix_connection",
    "getaddrinfo",
    "open_connection",
    "open_unix_connection",
    "sock_connect",
}
# Drivers of databases and queues: each of them may be used where it talks to an address that the operator sets.
DRIVERS = {"aio_pika", "aiokafka", "amqp", "asyncpg", "celery", "kombu", "psycopg", "psycopg2", "pymongo", "redis"}
DRIVING = {
    "app/cli/": "the operator's own database",
    "app/db/": "our own database",
    "app/embedded/": "the supervisor of one machine: its own database",
    "app/http/health.py": "whether our own Redis answers",
    "app/ingest/admission.py": "the errors of our own Redis",
    "app/ingest/faults.py": "the errors of our own database",
    "app/ingest/group_commit.py": "our own database",
    "app/kv/": "our own Redis",
    "app/observability/health.py": "whether our own Redis answers",
    "app/operations/backup/rehearsal.py": "a database of the operator's, restored for a rehearsal",
    "app/smtp/__main__.py": "our own Redis",
    "app/wiring.py": "our own Redis",
    "workers/bindings.py": "our own broker",
    "workers/celery_app.py": "our own broker",
    "workers/publisher.py": "our own broker",
}
# Databases and queues that a tenant names are dialled by address, after the guard has judged and pinned it. In such a
# package one module asks the guard, and the modules that know the driver are listed with what they do with it.
PINNED = {
    "app/remediation/actions/postgres_query/": {"__init__.py": "asks and dials", "failures.py": "the driver's errors"},
    "app/remediation/actions/redis_info/": {
        "__init__.py": "asks",
        "connections.py": "dials the address that it is given",
        "failures.py": "the driver's errors",
    },
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def dials(tree: ast.AST) -> set[str]:
    names = imported(tree)
    return {dialler for dialler in DIALLERS for name in names if name == dialler or name.startswith(dialler + ".")}


def drives(tree: ast.AST) -> set[str]:
    return {name.partition(".")[0] for name in imported(tree)} & DRIVERS


def dialling_calls(tree: ast.AST) -> list[tuple[int, str]]:
    """Each use, whether called or handed on, as an attribute, by its own name, or imported under another one."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in DIALLING_CALLS:
            found.append((node.lineno, node.attr))
        elif isinstance(node, ast.Name) and node.id in DIALLING_CALLS:
            found.append((node.lineno, node.id))
        elif isinstance(node, ast.ImportFrom):
            found += [(node.lineno, alias.name) for alias in node.names if alias.name in DIALLING_CALLS]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in DIALLING_CALLS:
            # What getattr would be handed.
            found.append((node.lineno, node.value))
    return found


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def trees(*but: str) -> Iterator[tuple[str, ast.Module]]:
    for path in SOURCES:
        if not name_of(path).startswith((GUARD, *but)):
            yield name_of(path), parsed(path)


def test_nothing_but_the_guard_can_dial() -> None:
    assert {name: sorted(found) for name, tree in trees(*ALLOWED) if (found := dials(tree))} == {}


def test_what_dials_without_an_import_is_used_by_nobody() -> None:
    """asyncio and anyio can, and the loop itself."""
    assert [f"{name}:{line} {call}" for name, tree in trees(*ALLOWED) for line, call in dialling_calls(tree)] == []


def test_a_driver_is_used_where_it_talks_to_the_operators_own_server() -> None:
    outside = {name: sorted(found) for name, tree in trees(*DRIVING, *PINNED) if (found := drives(tree))}
    assert outside == {}, "what a tenant names is pinned: see PINNED"


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio\nasync def f(): await asyncio.open_connection('h', 1)",
        "from asyncio import open_connection",
        "from asyncio import open_connection as innocent",
        "from asyncio.streams import open_connection",
        "import asyncio.streams as s\nx = s.open_connection",
        "from anyio import connect_tcp",
        "import anyio\nasync def f(): await anyio.connect_tcp('h', 1)",
        "def f(loop): return loop.create_connection(object, 'h', 1)",
        "import asyncio\nf = getattr(asyncio, 'open_connection')",
    ],
)
def test_every_way_to_write_it_is_seen(source: str) -> None:
    assert dialling_calls(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    ["import aiosmtplib", "from http import client", "import urllib.request as r", "from socket import socket"],
)
def test_every_way_to_import_a_dialler_is_seen(source: str) -> None:
    assert dials(ast.parse(source))


@pytest.mark.parametrize("source", ["import asyncpg", "from redis.asyncio import Redis", "import redis.asyncio as r"])
def test_every_way_to_import_a_driver_is_seen(source: str) -> None:
    assert drives(ast.parse(source))


def test_every_exception_is_still_needed() -> None:
    for prefixes, uses in ((ALLOWED, dials), (DRIVING, drives)):
        for prefix in prefixes:
            found = [tree for name, tree in trees() if name.startswith(prefix)]
            assert any(uses(tree) for tree in found), f"{prefix} needs no exception any more: take it off the list"


def test_what_a_tenant_names_is_pinned_before_it_is_dialled() -> None:
    for package, modules in PINNED.items():
        driving = {name.removeprefix(package) for name, tree in trees() if name.startswith(package) and drives(tree)}
        assert driving == set(modules), f"{package}: say what the module does with the driver"
        asking = [name for name in modules if ".pin(" in (ROOT / package / name).read_text()]
        assert asking == ["__init__.py"], f"{package} dials without asking the guard"
