"""``tocsin sources kinds`` and ``add``: from no source to the first incident, guided."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.jobs import ACTOR, Tenant, now
from app.cli.profile_files import GivenSecret, ProfileFile, given_profile
from app.cli.tables import listing, show_table
from app.cli.transactions import Begin, fail, run_in_tenant, safe

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession
    from app.ingest.contract import AlertSource
    from app.ingest.receipts.schemas import ReceiptEffects
    from app.ingest.service import CreatedSource

LOCAL_API = "http://127.0.0.1:8080"
FOLLOW_S = 30.0

Url = Annotated[
    str | None,
    typer.Option("--url", help=f"Scheme and host that senders reach; TOCSIN_INGEST__PUBLIC_URL, or else {LOCAL_API}."),
]


def kinds(
    kind: Annotated[str | None, typer.Argument(help="Show all about one.")] = None,
    search: Annotated[str, typer.Option("--search", help="Only those whose name has this in it.")] = "",
) -> None:
    """List the kinds of senders that can be connected, or show one with its set-up and its settings."""
    from app.ingest.sources import all_sources

    if kind is not None:
        _show_kind(kind_named(kind))
        return
    wanted = search.lower()
    table = listing("kind", "sender", "proves itself by")
    for slug, source in sorted(all_sources().items()):
        if wanted in slug or wanted in source.title.lower():
            table.add_row(slug, escape(source.title), source.profile)
    show_table(table)
    typer.echo("'tocsin sources kinds <kind>' shows one with its set-up and settings.")


def add(
    tenant: Tenant,
    kind: Annotated[
        str | None, typer.Argument(help="Which sender ('tocsin sources kinds'); asked for if left out.")
    ] = None,
    name: Annotated[
        str | None, typer.Argument(help="Unique within the tenant; the sender's own by default, numbered.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Signature profile; the kind's own by default.")] = None,
    profile_file: ProfileFile = None,
    secret: GivenSecret = None,
    config: Annotated[str, typer.Option(help="Settings of the kind, as JSON or @file.")] = "{}",
    group_by: Annotated[
        list[str] | None,
        typer.Option("--group-by", help="Label that makes one incident of several alerts; repeatable."),
    ] = None,
    url: Url = None,
    send_test: Annotated[
        bool, typer.Option("--send-test", help="Send a first delivery at once and follow it to its incident.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print id, URL, secret and curl line as JSON.")] = False,
) -> None:
    """Connect a sender: shows the URL, the secret, where they go, and a line that sends a first alert."""
    of_kind = kind_named(kind) if kind is not None else _ask_kind()
    wanted = {
        "kind": of_kind.slug,
        "name": name if name is not None or kind is not None else _ask_name(of_kind),
        "profile": given_profile(profile, profile_file),
        "config": parse_config(config),
        "secret": secret,
        "group_by": group_by or [],
    }
    followed = run_in_tenant(
        tenant, lambda begin: _connect(begin, of_kind, wanted, public_url(url), as_json, send_test)
    )
    if followed is not None:
        from app.cli.receipts import exit_status, show

        show(followed)
        raise typer.Exit(exit_status(followed))


async def _connect(
    begin: Begin, kind: AlertSource, wanted: dict[str, Any], base: str, as_json: bool, send_test: bool
) -> ReceiptEffects | None:
    from app.ingest import service

    async with begin() as session:
        wanted["name"] = wanted["name"] or await _free_name(session, kind.title)
        created = await service.create_source(session, keyring=keyring(), actor=ACTOR, now=now(), **wanted)
    _print(created, kind, base, as_json=as_json, at=now())
    return await _send_and_follow(begin, created, base) if send_test else None


def kind_named(slug: str) -> AlertSource:
    """This will return the kind, or end the command with those that look like it."""
    from difflib import get_close_matches

    from app.ingest.sources import all_sources

    known = all_sources()
    if slug in known:
        return known[slug]
    close = get_close_matches(slug.lower(), known, n=3, cutoff=0.4)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    raise fail(
        f"There is no kind of source {slug!r}.{meant} 'tocsin sources kinds' lists all; 'generic' takes any JSON."
    )


def public_url(given: str | None) -> str:
    """This will return where senders reach Tocsin."""
    from app.settings import Settings

    return (given or Settings().ingest.public_url or LOCAL_API).rstrip("/")


def parse_config(text: str) -> dict[str, Any]:
    """This will return the settings that were given as JSON, or as a file's name after an @."""
    import orjson

    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except OSError as error:
            raise typer.BadParameter(f"{text[1:]} cannot be read: {error.strerror}") from None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"--config is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise typer.BadParameter("--config is no JSON object")
    return found


def keyring() -> Any:
    """This will return the keys that secrets are encrypted with."""
    from app.net.keyring import KeyRing
    from app.settings import Settings

    return KeyRing.from_settings(Settings().security)


def _ask_kind() -> AlertSource:
    if not sys.stdin.isatty():
        raise fail("Say which sender: 'tocsin sources add alertmanager'. 'tocsin sources kinds' lists them.")
    kinds(None, "")
    while True:
        try:
            return kind_named(typer.prompt("Which kind"))
        except typer.Exit:
            continue


def _ask_name(kind: AlertSource) -> str:
    return str(typer.prompt("Name", default=kind.title))


async def _free_name(session: TenantSession, title: str) -> str:
    """The sender's own name, or with the first number that makes it unique."""
    from itertools import count

    from app.ingest import service

    taken = {source.name for source in await service.list_sources(session, limit=1_000)}
    numbered = (f"{title} {number}" for number in count(2))
    return title if title not in taken else next(name for name in numbered if name not in taken)


def _print(created: CreatedSource, kind: AlertSource, base: str, *, as_json: bool, at: datetime) -> None:
    line = created.curl(public_url=base, now=at)
    if as_json:
        import orjson

        shown = {
            "id": str(created.source.id),
            "kind": kind.slug,
            "name": created.source.name,
            "profile": created.source.profile,
            "url": f"{base}{created.url_path}",
            "secret": created.secret,
            "address": _address(created),
            "setup": kind.setup,
            "curl": line or None,
        }
        typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
        return
    typer.echo(f"Added {created.source.name} ({kind.slug}), id {created.source.id}.\n")
    typer.echo(f"url     {base}{created.url_path}")
    if created.secret is not None:
        typer.echo(f"secret  {created.secret}    shown this once")
    show_address(created)
    typer.echo(f"proof   {created.source.profile}: {created.source.strength}")
    typer.echo(f"\nAt the sender: {kind.setup}" if kind.setup else "")
    if kind.document:
        typer.echo(f"Its own page about it: {kind.document} ({kind.document_date})")
    if line:
        typer.echo(f"\ntry it  {line}\n")
        typer.echo("The answer holds a receipt_id: 'tocsin receipt <receipt_id> --wait' follows it to the incident.")
    else:
        typer.echo("\nOnly the sender itself can sign for this profile: let it send a test.")


def show_address(created: CreatedSource) -> None:
    """This will print where to mail to, for a source that takes mail."""
    from app.settings import Settings

    address, smtp = _address(created), Settings().smtp
    if address is not None:
        port = f"    (SMTP port {smtp.public_port})" if smtp.public_port is not None else ""
        typer.echo(f"mail to {address}{port}")


def _address(created: CreatedSource) -> str | None:
    from app.ingest.service import mail_address
    from app.settings import Settings

    return mail_address(created, Settings().smtp)


def _show_kind(kind: AlertSource) -> None:
    from app.ingest.described import described

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{escape(kind.title)}[/bold]  ({kind.slug}), proves itself by {kind.profile}")
    console.print(escape(kind.setup))
    if kind.document:
        console.print(f"Described at {kind.document} ({kind.document_date})")
    for name, meaning in described(kind.config_model).items():
        console.print(f"  setting [bold]{escape(name)}[/bold]{escape(f': {meaning}' if meaning else '')}")
    console.print(f"Connect it: [bold]tocsin sources add {kind.slug}[/bold]")


async def _send_and_follow(begin: Begin, created: CreatedSource, base: str) -> ReceiptEffects:
    import httpx

    from app.cli.receipts import settled

    first = created.first_request(now=now())
    if first is None:
        raise fail("No test was sent: only the sender itself can sign for this profile.")
    url = f"{base}{first.url_path}"
    try:
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.post(url, content=first.body, headers=dict(first.headers))
    except httpx.HTTPError as error:
        raise fail(
            f"Nothing answers at {base} ({type(error).__name__}). Is the API running there? --url names another place; "
            "the source is made, and the line above sends the test again.",
            code=1,
        ) from None
    if answer.status_code not in (200, 202):
        raise fail(f"The test was answered with {answer.status_code}: {safe(answer.text[:300])}", code=1)
    receipt_id = UUID(answer.json()["receipt_id"])
    typer.echo(f"Test sent, receipt {receipt_id}.")
    return await settled(begin, receipt_id, timeout_s=FOLLOW_S)
