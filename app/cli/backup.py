"""``tocsin backup`` and ``tocsin restore``: everything into a file and back, proven both ways (B3, B4, C18)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

from app.cli.tables import listing, show_table

if TYPE_CHECKING:
    from app.operations.backup.checking import Report
    from app.operations.backup.manifest import Manifest
    from app.operations.backup.programs import Say

T = TypeVar("T")

app = typer.Typer(
    help="Back everything up into one file with a manifest, and prove backups.\n\nReads as the role tocsin_backup, in one "
    "snapshot, while Tocsin works on. Without a command it makes a backup.",
    add_completion=False,
)
restore_app = typer.Typer(add_completion=False)

BackupUrl = Annotated[
    str,
    typer.Option(
        envvar="TOCSIN_DATABASE__BACKUP_URL",
        help="URL of the role tocsin_backup, postgresql+asyncpg://tocsin_backup:...@host/tocsin",
        show_default=False,
    ),
]
OwnerUrl = Annotated[
    str,
    typer.Option(
        envvar="TOCSIN_DATABASE__OWNER_URL",
        help="URL of the role tocsin_owner, on the database to restore into.",
        show_default=False,
    ),
]
PgBin = Annotated[
    Path | None,
    typer.Option(help="Folder of pg_dump, pg_restore and psql; by default the ones that fit the server best."),
]
Dump = Annotated[Path, typer.Argument(metavar="FILE", help="The .dump file, with its manifest beside it.")]


@app.callback(invoke_without_command=True)
def backup(
    context: typer.Context,
    to: Annotated[Path, typer.Option(help="Folder for backups; made for its owner only.")] = Path("backups"),
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Keep this many backups in the folder and remove older ones; all by default."),
    ] = None,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt the dump with the newest of TOCSIN_SECURITY__ENCRYPTION_KEYS.")
    ] = False,
    backup_url: BackupUrl = "",
    pg_bin: PgBin = None,
) -> None:
    """Write tocsin-TIME.dump and tocsin-TIME.manifest.json, both whole or not at all."""
    if context.invoked_subcommand is not None:
        return
    from app.operations.backup.making import make_backup

    url, seal_with = _needed(backup_url, "TOCSIN_DATABASE__BACKUP_URL"), _newest_key() if encrypt else None
    with _progress() as say:
        manifest, dump = _told(
            make_backup(
                url, to, now=datetime.now(UTC), keep=keep, programs_in=_places(pg_bin), say=say, seal_with=seal_with
            )
        )
    typer.echo(f"{dump}: {_in_words(manifest)}")
    _report(manifest)


@app.command()
def verify(
    file: Dump,
    rehearse: Annotated[
        bool,
        typer.Option("--rehearse", help="Restore into a database made for it, check every row, and drop it again."),
    ] = False,
    superuser_dsn: Annotated[
        str,
        typer.Option(envvar="TOCSIN_SUPERUSER_DSN", help="With --rehearse: libpq URL of a role that makes databases."),
    ] = "",
    owner_url: OwnerUrl = "",
    backup_url: BackupUrl = "",
    pg_bin: PgBin = None,
) -> None:
    """Check a backup's checksum and contents; with --rehearse, that it can be restored whole."""
    from app.operations.backup import rehearsal

    if not rehearse:
        manifest = _told(rehearsal.check_file(file, programs_in=_places(pg_bin), keys=_configured_keys()))
        typer.echo(f"whole: {_in_words(manifest)}")
        return
    with _progress() as say:
        report = _told(
            rehearsal.rehearse(
                file,
                superuser_dsn=_needed(superuser_dsn, "TOCSIN_SUPERUSER_DSN"),
                owner_url=_needed(owner_url, "TOCSIN_DATABASE__OWNER_URL"),
                backup_url=_needed(backup_url, "TOCSIN_DATABASE__BACKUP_URL"),
                programs_in=_places(pg_bin),
                keys=_configured_keys(),
                say=say,
            )
        )
    _show(report, done="rehearsed, and every row was there")


@app.command("list")
def list_backups(
    folder: Annotated[Path, typer.Option("--in", help="Folder of backups.")] = Path("backups"),
) -> None:
    """List the finished backups of a folder, newest first."""
    from app.operations.backup import making

    table = listing("file", "taken at", "MB", "tenants", "rows", "schema", "Tocsin")
    for manifest, dump in making.list_backups(folder):
        contents = manifest.contents
        size = f"{manifest.size_bytes / 1e6:.1f}"
        when = f"{manifest.taken_at:%Y-%m-%d %H:%M:%S}Z"
        counts = (str(contents.tenants), str(contents.rows), contents.revision)
        table.add_row(dump.name, when, size, *counts, manifest.tocsin_version)
    show_table(table)


@restore_app.command()
def restore(
    file: Dump,
    owner_url: OwnerUrl = "",
    backup_url: BackupUrl = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop what the database holds now. Stop api, relay and workers first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --replace: do not ask.")] = False,
    pg_bin: PgBin = None,
) -> None:
    """Restore a backup into an empty database and prove that everything is there.

    In one transaction: afterwards the database holds the backup, or what it held before.
    Then rows are counted by tenant, owners, grants and policies are compared, and every audit trail is walked.
    Exits 1 when anything differs.
    """
    from app.operations.backup.restoring import restore as run

    owner, looker = _needed(owner_url, "TOCSIN_DATABASE__OWNER_URL"), _needed(backup_url, "TOCSIN_DATABASE__BACKUP_URL")
    if replace and not yes:
        typer.confirm("Everything that the database holds now will be lost. Go on?", abort=True)
    with _progress() as say:
        report = _told(
            run(
                file,
                owner_url=owner,
                backup_url=looker,
                replace=replace,
                programs_in=_places(pg_bin),
                keys=_configured_keys(),
                say=say,
            )
        )
    _show(report, done="restored, and every row is there")


def _needed(value: str, variable: str) -> str:
    if not value:
        typer.secho(f"Set {variable}, or give its option: see --help.", fg="red", err=True)
        raise typer.Exit(2)
    return value


def _told(work: Coroutine[Any, Any, T]) -> T:
    """This will run the work; what went wrong is told in words, with status 1."""
    from app.operations.backup.errors import BackupError

    try:
        return asyncio.run(work)
    except (BackupError, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _progress() -> Iterator[Say]:
    console = Console(stderr=True)
    with console.status("connecting") as status:
        yield lambda line: status.update(line) if console.is_terminal else console.print(line, highlight=False)


def _places(chosen: Path | None) -> list[Path]:
    """This will return where to look for PostgreSQL's programs: the embedded server brings its own."""
    from app.embedded.postgres import packaged_binaries
    from app.embedded.server import EmbeddedServerFailed

    if chosen is not None:
        return [chosen]
    try:
        return [packaged_binaries()]
    except EmbeddedServerFailed:
        return []


def _configured_keys() -> dict[str, bytes]:
    """This will return the encryption keys by id, newest first."""
    from app.settings import Settings
    from app.settings.security import decode_key_entry

    return dict(decode_key_entry(entry.get_secret_value()) for entry in Settings().security.encryption_keys)


def _newest_key() -> tuple[str, bytes]:
    keys = _configured_keys()
    if not keys:
        typer.secho("Set TOCSIN_SECURITY__ENCRYPTION_KEYS: --encrypt uses the newest of them.", fg="red", err=True)
        raise typer.Exit(2)
    return next(iter(keys.items()))


def _in_words(manifest: Manifest) -> str:
    contents = manifest.contents
    needed = sorted({*contents.key_ids, *([manifest.sealed_with] if manifest.sealed_with else [])})
    keys = f", needs encryption keys {', '.join(needed)}" if needed else ""
    return (
        f"{manifest.size_bytes / 1e6:.1f} MB, {contents.rows} rows of {contents.tenants} tenants, "
        f"schema {contents.revision}{keys}"
    )


def _show(report: Report, *, done: str) -> None:
    typer.echo(f"{done}: {_in_words(report.manifest)}; {report.audit_entries} audit entries hold")
    if report.missing_keys:
        typer.secho(
            f"Stored secrets need encryption keys that are not configured here: {', '.join(report.missing_keys)}. Put them "
            "into TOCSIN_SECURITY__ENCRYPTION_KEYS before Tocsin starts.",
            fg="yellow",
            err=True,
        )


def _report(manifest: Manifest) -> None:
    """Tell the database of the success, where the system role's URL is given; relays show it as a metric."""
    import os

    if "TOCSIN_DATABASE__SYSTEM_URL" not in os.environ:
        return
    from app.operations.backup.reporting import report_backup
    from app.settings import Settings

    _told(report_backup(Settings().database, taken_at=manifest.taken_at, size_bytes=manifest.size_bytes))
