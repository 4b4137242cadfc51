"""``tocsin db bootstrap`` without a person: passwords come from the URLs that the processes get, and none is printed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import asyncpg
import pytest
from typer.testing import CliRunner

from app.cli.db import app
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import free_port

ROLES = {"OWNER": "tocsin_owner", "APP": "tocsin_app", "SYSTEM": "tocsin_system", "BACKUP": "tocsin_backup"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that asks for passwords on its port, and trusts its socket."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("bootstrap"), durable=False, tcp_port=free_port())
    server.start()
    yield server
    server.destroy()


def url(server: EmbeddedPostgres, role: str, password: str) -> str:
    return f"postgresql+asyncpg://{role}:{password}@127.0.0.1:{server.port}/tocsin"


def bootstrap(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, passwords: dict[str, str]) -> str:
    for name, role in ROLES.items():
        monkeypatch.setenv(f"TOCSIN_DATABASE__{name}_URL", url(server, role, passwords[name]))
    dsn = server.dsn_for("postgres", database="postgres")
    done = CliRunner().invoke(app, ["bootstrap", "--superuser-dsn", dsn, "--passwords-from-urls"])
    assert done.exit_code == 0, done.output
    return done.output


async def log_in(server: EmbeddedPostgres, role: str, password: str) -> str:
    connection = await asyncpg.connect(url(server, role, password).replace("+asyncpg", ""))
    try:
        return str(await connection.fetchval("select current_user"))
    finally:
        await connection.close()


def test_each_role_gets_the_password_of_its_url_and_a_second_run_replaces_it(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ({name: secrets.token_hex(24) for name in ROLES} for _ in range(2))
    for passwords in (first, second):
        said = bootstrap(server, monkeypatch, passwords)
        assert not any(password in said for password in passwords.values())
        for name, role in ROLES.items():
            assert asyncio.run(log_in(server, role, passwords[name])) == role
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(log_in(server, "tocsin_app", first["APP"]))


def test_a_url_of_a_strange_role_stops_it_before_anything_is_changed(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ROLES:
        monkeypatch.setenv(f"TOCSIN_DATABASE__{name}_URL", url(server, "postgres", secrets.token_hex(24)))
    dsn = server.dsn_for("postgres", database="postgres")
    done = CliRunner().invoke(app, ["bootstrap", "--superuser-dsn", dsn, "--passwords-from-urls"])
    assert done.exit_code == 2
    assert "'postgres' is none of Tocsin's roles" in done.output
