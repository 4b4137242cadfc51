"""What a process imports to start: a package that it does not use costs every start its time, and memory for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.db.migrate import ROOT

WEB = {"fastapi", "starlette", "uvicorn"}
STORES = {"sqlalchemy", "asyncpg", "redis"}
RECEIVER = {"opentelemetry.exporter"}


@pytest.mark.parametrize(
    ("start", "spared"),
    [
        ("import workers.main; from app.wiring import load_handlers; load_handlers()", WEB | RECEIVER),
        ("import workers.relay_main", WEB | RECEIVER | {"httpx", "app.ingest", "app.remediation"}),
        ("import app.smtp.__main__", WEB | RECEIVER | {"celery", "httpx", "app.remediation"}),
        ("import app.main, app.api; app.api.create_api(None, interactive=False)", RECEIVER | {"celery", "alembic"}),
        ("import sys; sys.argv = ['tocsin', '--help']; import app.cli", WEB | STORES),
        ("import sys; sys.argv = ['tocsin', 'jobs', '--help']; import app.cli", WEB | STORES),
        ("import sys; sys.argv = ['tocsin', 'sources', 'add', '--help']; import app.cli", WEB | STORES),
    ],
    ids=["worker", "relay", "smtp", "api", "tocsin", "tocsin jobs", "tocsin sources add"],
)
def test_a_process_imports_what_it_uses(start: str, spared: set[str]) -> None:
    script = (
        f"{start}\nimport sys\n"
        "if 'app.cli' in sys.modules:\n"
        "    try: app.cli.main()\n"
        "    except SystemExit: pass\n"
        f"print('imported:', *sorted({spared!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1].split() == ["imported:"]
