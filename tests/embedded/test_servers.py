"""The embedded PostgreSQL and Valkey: they keep what they should, let in whom they should, and leave nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey, free_port


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"
    EmbeddedPostgres(tmp_path / "data").destroy()


async def names_of(server: EmbeddedPostgres) -> list[str]:
    connection = await asyncpg.connect(server.dsn_for("postgres", database="postgres"))
    try:
        return [row["n"] for row in await connection.fetch("select n from kept")]
    finally:
        await connection.close()


async def test_a_second_start_finds_the_data_and_a_deleted_folder_starts_afresh(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False) as server:
        connection = await asyncpg.connect(server.dsn_for("postgres", database="postgres"))
        await connection.execute("create table kept (n text); insert into kept values ('one')")
        await connection.close()
    again = EmbeddedPostgres(folder, durable=False)
    with again:
        assert await names_of(again) == ["one"]
    shutil.rmtree(folder)
    fresh = EmbeddedPostgres(folder, durable=False)
    with fresh, pytest.raises(asyncpg.UndefinedTableError):
        await names_of(fresh)


async def test_a_server_that_outlived_its_supervisor_is_stopped_first(folder: Path) -> None:
    orphan = EmbeddedPostgres(folder, durable=False)
    orphan.start()
    pid = orphan.pid
    assert pid is not None
    with EmbeddedPostgres(folder, durable=False):
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    orphan.stop()


async def test_over_tcp_a_role_without_a_password_is_not_let_in(folder: Path) -> None:
    with (
        EmbeddedPostgres(folder, durable=False, tcp_port=free_port()) as server,
        pytest.raises(asyncpg.InvalidPasswordError),
    ):
        await asyncpg.connect(
            host="127.0.0.1", port=server.port, user="postgres", password="guess", database="postgres"
        )


async def test_only_its_owner_reaches_the_socket(folder: Path) -> None:
    server = EmbeddedPostgres(folder, durable=False)
    with server:
        assert server.placement.sockets.stat().st_mode & 0o077 == 0
        assert server.data_path.stat().st_mode & 0o077 == 0


async def test_valkey_wants_its_password_and_keeps_it_out_of_the_process_list(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server:
        stranger = Redis(host="127.0.0.1", port=server.port)
        with pytest.raises(AuthenticationError):
            await stranger.ping()
        await stranger.aclose()
        known = Redis.from_url(server.url)
        assert await known.ping()
        await known.aclose()
        assert server.pid is not None
        assert server.password not in " ".join(psutil.Process(server.pid).cmdline())
