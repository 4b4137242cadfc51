"""One stack a folder, secrets that stay, ports that give way."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from app.embedded.folder import DataFolder, FolderInUse
from app.embedded.ports import choose_port
from app.embedded.secrets import load_or_create


def test_a_folder_is_used_by_one_stack_at_a_time(tmp_path: Path) -> None:
    with (
        DataFolder(tmp_path / "data"),
        pytest.raises(FolderInUse, match=rf"in use by process {os.getpid()}.*--data-dir"),
        DataFolder(tmp_path / "data"),
    ):
        raise AssertionError("two stacks on one folder")
    with DataFolder(tmp_path / "data"):
        pass


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    first = load_or_create(tmp_path)
    assert load_or_create(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert load_or_create(tmp_path / "..").token_pepper != first.token_pepper
    (tmp_path.parent / "secrets.json").unlink()


def test_a_busy_port_gives_way_to_the_next(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        chosen = choose_port(port)
        assert chosen != port
        assert choose_port(port, taken=frozenset({chosen})) not in (port, chosen)
