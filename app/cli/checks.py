"""``tocsin check``: what Tocsin asks by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console

from app.cli.jobs import ACTOR, Tenant, in_tenant
from app.cli.tables import listing, show_table
from app.cli.transactions import valid
from app.incidents.rules.states import Severity

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession


app = typer.Typer(help="Ask an address again and again; wrong answers open an alert.", no_args_is_help=True)

CheckId = Annotated[UUID, typer.Argument(help="The check's id.")]


@app.command()
def create(
    tenant: Tenant,
    source_id: Annotated[UUID, typer.Argument(help="The source that its alerts belong to.")],
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, dot, - and _; unique within the source.")],
    url: Annotated[str, typer.Argument(help="Is fetched with GET; redirects are not followed.")],
    interval_s: Annotated[int, typer.Option("--every-s", help="Seconds between two questions, at least 10.")] = 60,
    timeout_s: Annotated[int, typer.Option(help="Seconds for the whole answer, at most 10.")] = 5,
    status: Annotated[int | None, typer.Option(help="Of a healthy answer; every 2xx unless given.")] = None,
    text: Annotated[str, typer.Option(help="What a healthy body holds.")] = "",
    fails_after: Annotated[int, typer.Option(help="Wrong answers in a row that open an alert.")] = 2,
    severity: Annotated[Severity, typer.Option(help="Of the alert.")] = Severity.P1,
) -> None:
    """Create a check; it is asked at once."""
    from app.ingest.checks import jobs, service
    from app.ingest.checks.schemas import CheckCreate
    from app.settings import Settings

    most = Settings().ingest.checks_max
    wanted = valid(
        CheckCreate,
        source_id=source_id,
        name=name,
        url=url,
        interval_s=interval_s,
        timeout_s=timeout_s,
        expected_status=status,
        expected_text=text,
        fails_after=fails_after,
        severity=severity,
    )

    async def work(session: TenantSession) -> None:
        made = await service.create_check(session, wanted, most=most, actor=ACTOR, now=datetime.now(UTC))
        await jobs.ask_soon(session, made)
        Console().print(f"Check {made.name} ({made.id}) is asked now, and every {made.interval_s} s.")

    in_tenant(tenant, work)


@app.command("list")
def list_checks(tenant: Tenant, limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List checks, newest first."""
    from app.ingest.checks import service

    async def work(session: TenantSession) -> None:
        table = listing("id", "name", "state", "every", "asked", "wrong in a row", "url", "what was wrong")
        for row in await service.list_checks(session, source_id=None, before=None, limit=limit):
            asked = f"{row.checked_at:%Y-%m-%d %H:%M:%S}" if row.checked_at is not None else "-"
            every = f"{row.interval_s} s"
            table.add_row(str(row.id), row.name, row.state, every, asked, str(row.failures), row.url, row.error)
        show_table(table)

    in_tenant(tenant, work)


@app.command()
def pause(tenant: Tenant, check_id: CheckId) -> None:
    """Ask no more for now; its alert ends."""
    _set_paused(tenant, check_id, paused=True)


@app.command()
def resume(tenant: Tenant, check_id: CheckId) -> None:
    """Ask a paused check again, at once."""
    _set_paused(tenant, check_id, paused=False)


@app.command()
def delete(tenant: Tenant, check_id: CheckId) -> None:
    """Ask no more; its alert ends."""
    from app.ingest.checks import service

    async def work(session: TenantSession) -> None:
        await service.delete_check(session, check_id=check_id, actor=ACTOR, now=datetime.now(UTC))
        Console().print("Deleted.")

    in_tenant(tenant, work)


def _set_paused(tenant: UUID, check_id: UUID, *, paused: bool) -> None:
    from app.ingest.checks import jobs, service
    from app.ingest.checks.schemas import CheckUpdate

    async def work(session: TenantSession) -> None:
        wanted = CheckUpdate(paused=paused)
        row = await service.update_check(session, check_id=check_id, wanted=wanted, actor=ACTOR, now=datetime.now(UTC))
        await jobs.ask_soon(session, row)
        Console().print(f"{row.name} is {row.state}.")

    in_tenant(tenant, work)
