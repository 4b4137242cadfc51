"""The secrets of one data folder: made once, kept in a file that only its owner can read."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StackSecrets:
    """What the stack's processes share.

    Attributes:
        encryption_key: ``id:base64`` of the key for secrets at rest.
        token_pepper: Mixed into the hashes of API tokens.
        desk_key: What the demo's ticket system wants to see.
        broker_password: Valkey's password.
        monitor_password: Password of the role that the demo's runbook looks at PostgreSQL with.
    """

    encryption_key: str
    token_pepper: str
    desk_key: str
    broker_password: str
    monitor_password: str


def load_or_create(folder: Path) -> StackSecrets:
    """This will return the folder's secrets, making them the first time."""
    found = read_private(folder / "secrets.json")
    if found is not None:
        return StackSecrets(**found)
    made = StackSecrets(
        encryption_key=f"local:{base64.b64encode(os.urandom(32)).decode()}",
        token_pepper=secrets.token_urlsafe(48),
        desk_key=secrets.token_urlsafe(24),
        broker_password=secrets.token_urlsafe(24),
        monitor_password=secrets.token_urlsafe(24),
    )
    write_private(folder / "secrets.json", asdict(made))
    return made


def read_private(path: Path) -> dict[str, Any] | None:
    """This will read a JSON file that ``write_private`` made, or return None."""
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def write_private(path: Path, content: dict[str, Any]) -> None:
    """This will write a JSON file with mode 0600, whole or not at all."""
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(content, file, indent=2)
    draft.replace(path)
