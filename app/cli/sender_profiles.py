"""``tocsin sources profiles`` and ``refusals``: how senders prove who they are, tried before it is trusted."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.first_steps import keyring, public_url
from app.cli.jobs import ACTOR, Tenant, in_tenant, now
from app.cli.profile_files import given_profile, read_document
from app.cli.tables import listing, show_table
from app.cli.transactions import fail, safe, valid

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession

if TYPE_CHECKING:
    from app.ingest.verification.schemas import PreviewVerification, VerificationPreview

app = typer.Typer(
    help="How senders prove who they are: list, try and set signature profiles.\n\n"
    "Begin with: tocsin sources profiles list --sender alertmanager",
    no_args_is_help=True,
    add_completion=False,
)

Named = Annotated[str | None, typer.Option("--profile", help="A shipped profile ('tocsin sources profiles list').")]
File = Annotated[Path | None, typer.Option("--file", help="A profile of your own, as YAML or JSON.")]


@app.command("list")
def list_profiles(
    sender: Annotated[str | None, typer.Option(help="Only what this product can do; part of its name.")] = None,
) -> None:
    """List the shipped profiles, the strongest first."""
    from app.ingest.verification import service

    table = listing("profile", "strength", "kind", "senders")
    for profile in service.list_profiles(sender=sender):
        senders = ", ".join(each.name for each in profile.senders)
        table.add_row(profile.slug, profile.strength, profile.kind, escape(senders))
    show_table(table)


@app.command()
def show(
    slug: Annotated[str, typer.Argument(help="Of a shipped profile.")],
    vectors: Annotated[bool, typer.Option("--vectors", help="With its test vectors, which may be long.")] = False,
) -> None:
    """Show what a profile expects, what to do at each sender, and its document."""
    import orjson
    import yaml

    from app.core.errors import TocsinError
    from app.ingest.verification import service

    try:
        profile = service.show_profile(slug)
    except TocsinError as error:
        raise fail(f"{error.title}: {error.detail}. {error.hint}", code=1) from None
    typer.echo(f"{profile.title}: {profile.strength} ({profile.kind})")
    typer.echo(f"specified  {profile.specification}")
    typer.echo(f"secret     {profile.secret}")
    for line in profile.expects:
        typer.echo(f"expects    {line}")
    for sender in profile.senders:
        typer.echo(f"set-up     {sender.name}: {sender.setup}")
    # By way of JSON: YAML would write tuples and enums as objects of Python's.
    document = orjson.loads(orjson.dumps(profile.document))
    if not vectors:
        document.pop("vectors", None)
    typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A profile of your own, as YAML or JSON.")]) -> None:
    """Compile a profile of your own and run its vectors; exits 1 where one fails."""
    from app.core.errors import TocsinError
    from app.net.signing import load_custom

    document = read_document(file)
    try:
        compiled = load_custom(document)
    except TocsinError as error:
        raise fail(f"{error.title}: {safe(error.detail)}", code=1) from None
    typer.echo(f"{compiled.slug} loads: {compiled.strength.value}, {len(compiled.profile.vectors)} vectors hold")


@app.command()
def preview(
    request: Annotated[
        Path, typer.Argument(help="JSON: method, path, headers, body or body_b64, origin, certificate.")
    ],
    profile: Named = None,
    file: File = None,
    secret: Annotated[
        str | None, typer.Option(envvar="TOCSIN_SOURCE_SECRET", help="As the source holds it. Prefer the variable.")
    ] = None,
    at: Annotated[datetime | None, typer.Option(help="When the request came (UTC); now by default.")] = None,
) -> None:
    """Try a profile and a secret on a captured request, and say why it would be refused; exits 1 where it would."""
    from datetime import UTC

    from app.core.errors import TocsinError
    from app.ingest.verification.schemas import PreviewVerification

    wanted = valid(
        PreviewVerification,
        profile=_chosen(profile, file),
        secrets=[secret] if secret is not None else [],
        request=read_document(request),
        now=at.replace(tzinfo=UTC) if at is not None else None,
    )
    try:
        found = asyncio.run(_preview(wanted))
    except TocsinError as error:
        raise fail(f"{error.title}: {safe(error.detail)}. {error.hint}".strip(), code=1) from None
    _print_preview(found)
    raise typer.Exit(0 if found.verified else 1)


@app.command("set")
def set_profile(
    tenant: Tenant,
    source_id: Annotated[UUID, typer.Argument(help="The source's id.")],
    profile: Named = None,
    file: File = None,
    secret: Annotated[
        str | None,
        typer.Option(envvar="TOCSIN_SOURCE_SECRET", help="Yours or the sender's; without it one is made."),
    ] = None,
) -> None:
    """Give a source another profile; its old secrets end at once, and the new one is printed this once."""
    from app.ingest.verification import service

    async def work(session: TenantSession) -> None:
        made = await service.set_profile(
            session,
            keyring=keyring(),
            source_id=source_id,
            profile=_chosen(profile, file),
            secret=secret,
            actor=ACTOR,
            now=now(),
        )
        typer.echo(f"source  {made.source.id}  ({made.source.profile}, {made.source.strength})")
        typer.echo(f"url     {public_url(None)}{made.url_path}")
        if made.secret is not None:
            typer.echo(f"secret  {made.secret}    shown this once")

    in_tenant(tenant, work)


def refusals(tenant: Tenant, source_id: Annotated[UUID, typer.Argument(help="The source's id.")]) -> None:
    """Show what a source refused lately, and why; the sender was told none of it."""
    from app.ingest.verification import service

    async def work(session: TenantSession) -> None:
        found = await service.show_refusals(session, source_id=source_id, now=now())
        counts = listing("hour", "reason", "count", "last")
        for count in found.counts:
            counts.add_row(_time(count.hour), count.reason, str(count.count), _time(count.last_at))
        examples = listing("time", "reason", "bytes", "claimed id")
        for example in found.recent:
            claimed = escape(safe(example.claimed_id or ""))
            examples.add_row(_time(example.at), example.reason, str(example.size_bytes), claimed)
        console = Console()
        console.print(counts)
        console.print(examples)

    in_tenant(tenant, work)


async def _preview(wanted: PreviewVerification) -> VerificationPreview:
    import time

    from app.ingest.verification import service
    from app.net.outbound import OutboundHttp
    from app.net.signing.remote_keys import RemoteKeys, fetch_with
    from app.settings import Settings

    settings = Settings()
    http = OutboundHttp(settings.security)
    keys = RemoteKeys(fetch_with(http), ticks=time.monotonic)
    try:
        return await service.preview_verification(wanted, keys=keys, public_url=settings.ingest.public_url, now=now())
    finally:
        await keys.aclose()
        await http.aclose()


def _print_preview(found: VerificationPreview) -> None:
    typer.secho("verifies" if found.verified else f"refused: {found.reason}", fg="green" if found.verified else "red")
    typer.echo(f"{found.explanation} What verifies proves: {found.strength}.")
    if found.signed is not None:
        cut = " (the beginning)" if found.signed.is_cut else ""
        typer.echo(f"signed   {found.signed.size_bytes} bytes, sha256 {found.signed.sha256}{cut}")
        typer.echo(f"         {found.signed.text}")
    for line in found.expects:
        typer.echo(f"expects  {line}")


def _chosen(profile: str | None, file: Path | None) -> str | dict[str, Any]:
    found = given_profile(profile, file)
    if found is None:
        raise fail("give --profile or --file, one of the two")
    return found


def _time(value: datetime) -> str:
    return value.isoformat(timespec="seconds")
