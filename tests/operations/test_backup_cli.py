"""``tocsin backup`` and ``tocsin restore``: what an operator types."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer

from app.cli.backup import app, restore_app
from app.core.resources import Resources
from app.settings import Settings
from tests.fixtures.commands import run_command
from tests.fixtures.database import PostgresServer
from tests.operations.backups import Filled, fill


@pytest.fixture
async def filled(
    postgres: PostgresServer, scratch_name: str, scratch_resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> Filled:
    """Two tenants' rows, and the process's environment as an operator's."""
    keys = scratch_resources.get(Settings).security.encryption_keys
    for name, value in {
        "TOCSIN_DATABASE__BACKUP_URL": postgres.server.url_for("tocsin_backup", database=scratch_name),
        "TOCSIN_DATABASE__OWNER_URL": postgres.server.url_for("tocsin_owner", database=scratch_name),
        "TOCSIN_DATABASE__SYSTEM_URL": postgres.server.url_for("tocsin_system", database=scratch_name),
        "TOCSIN_SUPERUSER_DSN": postgres.dsn("postgres", "postgres"),
        "TOCSIN_SECURITY__ENCRYPTION_KEYS": keys[0].get_secret_value(),
        "COLUMNS": "300",
    }.items():
        monkeypatch.setenv(name, value)
    return await fill(postgres, scratch_name, scratch_resources)


async def run(*words: str, of: typer.Typer = app, answer: str = "") -> tuple[int, str]:
    return await run_command(of, *words, stdin=answer)


async def test_from_a_running_database_to_an_empty_one(
    postgres: PostgresServer, filled: Filled, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, shown = await run("--to", str(tmp_path), "--keep", "3")
    assert code == 0, shown
    assert "of 2 tenants" in shown
    assert "needs encryption keys test" in shown
    (dump,) = (tmp_path / name for name in os.listdir(tmp_path) if name.endswith(".dump"))
    code, listed = await run("list", "--in", str(tmp_path))
    assert (code, dump.name in listed) == (0, True)
    code, checked = await run("verify", str(dump))
    assert (code, checked.startswith("whole: ")) == (0, True), checked
    code, rehearsed = await run("verify", "--rehearse", str(dump))
    assert (code, "every row was there" in rehearsed) == (0, True), rehearsed
    code, refused = await run(str(dump), of=restore_app)
    assert (code, "--replace" in refused) == (1, True), refused
    for variable, role in (("BACKUP", "tocsin_backup"), ("OWNER", "tocsin_owner")):
        monkeypatch.setenv(f"TOCSIN_DATABASE__{variable}_URL", postgres.server.url_for(role, database=target))
    monkeypatch.setenv("TOCSIN_SECURITY__ENCRYPTION_KEYS", "")
    code, restored = await run(str(dump), of=restore_app)
    assert (code, "every row is there" in restored) == (0, True), restored
    assert "not configured here: test" in restored
    async with postgres.superuser(filled.name) as connection:
        assert await connection.fetchval("select size_bytes from backups") == dump.stat().st_size
    code, kept = await run(str(dump), "--replace", of=restore_app, answer="n\n")
    assert (code, "will be lost" in kept) == (1, True), kept
    code, replaced = await run(str(dump), "--replace", "--yes", of=restore_app)
    assert (code, "every row is there" in replaced) == (0, True), replaced


@pytest.mark.usefixtures("filled")
async def test_an_encrypted_one_says_which_key_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, shown = await run("--to", str(tmp_path), "--encrypt")
    assert (code, "needs encryption keys test" in shown) == (0, True), shown
    (dump,) = (str(tmp_path / name) for name in os.listdir(tmp_path) if name.endswith(".dump"))
    code, checked = await run("verify", dump)
    assert (code, checked.startswith("whole: ")) == (0, True), checked
    monkeypatch.setenv("TOCSIN_SECURITY__ENCRYPTION_KEYS", "")
    code, refused = await run("verify", dump)
    assert (code, "'test', which is not configured" in refused) == (1, True), refused
    code, refused = await run("--to", str(tmp_path), "--encrypt")
    assert (code, "Set TOCSIN_SECURITY__ENCRYPTION_KEYS" in refused) == (2, True), refused


async def test_what_is_missing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKUP_URL", "OWNER_URL", "SYSTEM_URL"):
        monkeypatch.delenv(f"TOCSIN_DATABASE__{name}", raising=False)
    code, shown = await run()
    assert (code, shown) == (2, "Set TOCSIN_DATABASE__BACKUP_URL, or give its option: see --help.\n")
    code, shown = await run("verify", str(tmp_path / "none.dump"))
    assert (code, "not a finished backup" in shown) == (1, True)
    assert "Traceback" not in shown
    code, shown = await run("--to", str(tmp_path), "--backup-url", "postgresql+asyncpg://tocsin_backup@127.0.0.1:1/x")
    assert (code, "does not answer as the backup role" in shown) == (1, True), shown


@pytest.mark.parametrize("words", [["--help"], ["verify", "--help"], ["list", "--help"]])
async def test_help_says_what_it_does(words: list[str]) -> None:
    code, shown = await run(*words)
    assert code == 0
    assert "backup" in shown
