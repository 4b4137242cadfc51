"""Finding the Tocsin that runs on this machine, so that commands work beside ``tocsin up`` without any set-up.

``tocsin up`` leaves its settings in a file of its data folder that only its user can read. Whoever has set a database for
himself, or stands elsewhere, is not concerned.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

FILE = "command-line.env"
FOLDER = Path("tocsin-data")
# What a command needs; nothing that would make it take the stack's ports for its own.
_NEEDED = (
    "TOCSIN_DATABASE__APP_URL",
    "TOCSIN_DATABASE__SYSTEM_URL",
    "TOCSIN_DATABASE__OWNER_URL",
    "TOCSIN_DATABASE__BACKUP_URL",
    "TOCSIN_SUPERUSER_DSN",
    "TOCSIN_REDIS__URL",
    "TOCSIN_SECURITY__ENCRYPTION_KEYS",
    "TOCSIN_SECURITY__TOKEN_PEPPER",
    "TOCSIN_HTTP__PUBLIC_URL",
    "TOCSIN_INGEST__PUBLIC_URL",
    "TOCSIN_SMTP__PUBLIC_PORT",
)


def leave(folder: Path, environment: Mapping[str, str], *, tenant_id: str) -> None:
    """This will write what commands need into the stack's folder, for its user alone."""
    lines = [f"{name}={environment[name]}" for name in _NEEDED if name in environment]
    path = folder / FILE
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("\n".join([*lines, f"TOCSIN_TENANT={tenant_id}", ""]))


def adopt(folder: Path = FOLDER) -> None:
    """This will take the settings that a stack in this folder left, where none are given; a given one always holds."""
    if "TOCSIN_DATABASE__APP_URL" in os.environ or Path(".env").exists():
        return
    with contextlib.suppress(OSError):
        for line in (folder / FILE).read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            if name.startswith("TOCSIN_"):
                os.environ.setdefault(name, value)
