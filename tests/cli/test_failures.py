"""A database that is not there is one line with what to do, not a page of frames."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.db.migrate import ROOT
from app.embedded.valkey import free_port

TENANT = "01a1fe37-d4a7-76b0-87d7-7ca702908658"


@pytest.mark.parametrize("command", [("tenant", "list"), ("incidents", "list", "--tenant", TENANT), ("db", "current")])
def test_no_database_is_one_line(command: tuple[str, ...]) -> None:
    url = f"postgresql+asyncpg://tocsin_app@127.0.0.1:{free_port()}/tocsin"
    names = ("TOCSIN_DATABASE__APP_URL", "TOCSIN_DATABASE__SYSTEM_URL", "TOCSIN_DATABASE__OWNER_URL")
    ran = subprocess.run(
        [sys.executable, "-m", "app.cli", *command],
        cwd=ROOT,
        env={**os.environ, **dict.fromkeys(names, url)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("PostgreSQL cannot be used")
    assert len(ran.stderr.splitlines()) == 1
