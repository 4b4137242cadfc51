"""``tocsin sources``: the doors for senders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from app.cli.first_steps import add, keyring, kinds, parse_config
from app.cli.jobs import ACTOR, Tenant, in_tenant, now
from app.cli.previews import preview
from app.cli.profile_files import GivenSecret, ProfileFile, given_profile
from app.cli.sender_profiles import app as profiles_app
from app.cli.sender_profiles import refusals
from app.cli.source_secrets import app as secrets_app
from app.cli.source_secrets import rotate_secret, show_secret
from app.cli.tables import listing, show_table
from app.cli.transactions import safe
from app.cli.trials import set_settings, try_candidate

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession

app = typer.Typer(
    help="Connect senders, rotate their secrets, and try settings on the past.\n\nBegin with: tocsin sources add",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(kinds)
app.command()(add)
app.command("try")(try_candidate)
app.command("set")(set_settings)
app.command()(preview)
app.command()(refusals)
app.command("rotate-secret")(rotate_secret)
app.add_typer(secrets_app, name="secrets")
app.add_typer(profiles_app, name="profiles")


@app.command()
def create(
    tenant: Tenant,
    kind: Annotated[str, typer.Argument(help="Which sender ('tocsin sources kinds').")],
    name: Annotated[str, typer.Argument(help="Unique within the tenant.")],
    profile: Annotated[str | None, typer.Option(help="Signature profile; the kind's own by default.")] = None,
    profile_file: ProfileFile = None,
    secret: GivenSecret = None,
    config: Annotated[str, typer.Option(help="Settings of the kind, as JSON or @file.")] = "{}",
) -> None:
    """Create a source and print its URL and secret, this once; 'add' says more."""
    from app.ingest import service

    chosen = given_profile(profile, profile_file)

    async def work(session: TenantSession) -> None:
        created = await service.create_source(
            session,
            keyring=keyring(),
            kind=kind,
            name=name,
            profile=chosen,
            config=parse_config(config),
            secret=secret,
            actor=ACTOR,
            now=now(),
        )
        show_secret(created)

    in_tenant(tenant, work)


@app.command("list")
def list_sources(tenant: Tenant, limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List sources, newest first."""
    from app.ingest import service

    async def work(session: TenantSession) -> None:
        table = listing("id", "name", "kind", "profile", "strength", "state", "path")
        for source in await service.list_sources(session, limit=limit):
            table.add_row(
                str(source.id),
                escape(safe(source.name)),
                source.kind,
                source.profile,
                source.strength,
                source.state.value,
                source.url_path,
            )
        show_table(table)

    in_tenant(tenant, work)
