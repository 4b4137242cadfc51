"""One way out: nothing but ``app/net`` opens a connection to a place that a tenant can name.

import-linter forbids the HTTP clients by domain (``.importlinter``, contract *egress*); this looks at every module and
at everything else that can dial.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUARD = "app/net/"
SOURCES = sorted(path for folder in ("app", "workers") for path in (ROOT / folder).rglob("*.py"))
# What opens connections; a module that imports one stands here with its reason, or goes through app/net/outbound.py.
DIALLERS = {
    "aiohttp",
    "asyncssh",
    "ftplib",
    "http.client",
    "httpcore",
    "httpx",
    "imaplib",
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
# Databases and queues that a tenant names are dialled by address, after the guard has judged and pinned it.
PINNED = {
    "app/remediation/actions/postgres_query/__init__.py": ("asyncpg", ".pin("),
    "app/remediation/actions/redis_info/__init__.py": ("redis", ".pin("),
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def dials(names: set[str]) -> set[str]:
    return {dialler for dialler in DIALLERS for name in names if name == dialler or name.startswith(dialler + ".")}


def test_nothing_but_the_guard_can_dial() -> None:
    outside = {
        name_of(path): sorted(found)
        for path in SOURCES
        if not name_of(path).startswith((GUARD, *ALLOWED)) and (found := dials(imported(path)))
    }
    assert outside == {}


def test_open_connection_is_called_by_nobody() -> None:
    """asyncio can dial without any import of the above."""
    banned = {
        "open_connection",
        "create_connection",
        "open_unix_connection",
        "sock_connect",
        "create_datagram_endpoint",
    }
    found = [
        f"{name_of(path)}:{node.lineno} {node.func.attr}"
        for path in SOURCES
        if not name_of(path).startswith((GUARD, *ALLOWED))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in banned
    ]
    assert found == []


def test_every_exception_is_still_needed() -> None:
    for prefix in ALLOWED:
        paths = [path for path in SOURCES if name_of(path).startswith(prefix)]
        assert any(dials(imported(path)) for path in paths), f"{prefix} dials nothing any more: take it off the list"


def test_what_a_tenant_names_is_pinned_before_it_is_dialled() -> None:
    for name, (driver, pin) in PINNED.items():
        path = ROOT / name
        assert driver in {found.partition(".")[0] for found in imported(path)}, name
        assert pin in path.read_text(), f"{name} dials without asking the guard"
    actions = (ROOT / "app" / "remediation" / "actions").rglob("*.py")
    drivers = {"asyncpg", "redis", "psycopg", "kubernetes_asyncio", "asyncssh"}
    dialling = {name_of(path) for path in actions if {found.partition(".")[0] for found in imported(path)} & drivers}
    assert dialling - set(PINNED) <= {"app/remediation/actions/postgres_query/queries.py"}
