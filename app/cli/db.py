"""``tocsin db``: roles and migrations."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

app = typer.Typer(help="Database roles and migrations.", no_args_is_help=True, add_completion=False)

OwnerUrl = Annotated[
    str,
    typer.Option(
        envvar="TOCSIN_DATABASE__OWNER_URL",
        help="URL of the role tocsin_owner, postgresql+asyncpg://tocsin_owner:...@host/tocsin",
    ),
]


@app.command()
def bootstrap(
    superuser_dsn: Annotated[
        str,
        typer.Option(
            envvar="TOCSIN_SUPERUSER_DSN", help="libpq URL of a superuser, postgresql://postgres:...@host/postgres"
        ),
    ],
    database: Annotated[str, typer.Option(help="Name of the database to create when it is not there.")] = "tocsin",
    show_passwords: Annotated[
        bool, typer.Option(help="Set fresh passwords for the login roles and print them once.")
    ] = True,
    passwords_from_urls: Annotated[
        bool,
        typer.Option(
            help="Give each role the password in its TOCSIN_DATABASE__..._URL instead, and print none: for a start "
            "without a person, where the URLs come from a store of secrets."
        ),
    ] = False,
) -> None:
    """Create the database roles and the database. Safe to run again."""
    import secrets

    import asyncpg

    from app.db.roles import bootstrap as make_roles

    roles = ("tocsin_owner", "tocsin_app", "tocsin_system", "tocsin_backup")
    shown = {role: secrets.token_urlsafe(24) for role in roles} if show_passwords and not passwords_from_urls else {}
    passwords = _passwords_in_urls(roles) if passwords_from_urls else shown

    async def run() -> None:
        connection = await asyncpg.connect(superuser_dsn)
        try:
            await make_roles(connection, database=database, passwords=passwords)
        finally:
            await connection.close()

    asyncio.run(run())
    typer.echo("The roles and the database are there. Next: tocsin db upgrade")
    for role, password in shown.items():
        typer.echo(f"{role}: {password}")


def _passwords_in_urls(roles: tuple[str, ...]) -> dict[str, str]:
    """Take the passwords from the settings' URLs; a URL of another role is a mistake worth stopping for."""
    from sqlalchemy.engine import make_url

    from app.settings import Settings

    database = Settings().database
    found: dict[str, str] = {}
    for secret in (database.owner_url, database.app_url, database.system_url, database.backup_url):
        url = make_url(secret.get_secret_value()) if secret is not None else None
        if url is None or url.password is None:
            continue
        if url.username not in roles:
            raise typer.BadParameter(f"{url.username!r} is none of Tocsin's roles ({', '.join(roles)})")
        found[url.username] = url.password
    return found


@app.command()
def upgrade(
    owner_url: OwnerUrl,
    revision: Annotated[str, typer.Argument(help="Target revision.")] = "head",
) -> None:
    """Migrate up; waits for a migration that is already running."""
    from app.db.migrate import upgrade as run

    run(owner_url, revision)
    typer.echo(f"migrated to {revision}")


@app.command()
def downgrade(
    owner_url: OwnerUrl,
    revision: Annotated[str, typer.Argument(help="Target revision, or -1 for one step down.")],
) -> None:
    """Migrate down. Tables that go take their rows with them: back up first."""
    from app.db.migrate import downgrade as run

    run(owner_url, revision)
    typer.echo(f"migrated down to {revision}")


@app.command()
def current(owner_url: OwnerUrl) -> None:
    """Show the revision that the database is at."""
    from alembic import command

    from app.db.migrate import alembic_config

    command.current(alembic_config(owner_url), verbose=False)


@app.command()
def history() -> None:
    """Show the migrations, newest first."""
    from alembic.script import ScriptDirectory

    from app.db.migrate import alembic_config

    for script in ScriptDirectory.from_config(alembic_config("")).walk_revisions():
        typer.echo(f"{script.revision}  {(script.doc or '').splitlines()[0]}")
