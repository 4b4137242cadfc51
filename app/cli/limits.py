"""``tocsin limits``: what tenants and sources may send, on the machine itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console

from app.cli.jobs import ACTOR, Tenant, in_tenant, now
from app.cli.transactions import valid

if TYPE_CHECKING:
    from app.db.tenancy import TenantSession

app = typer.Typer(help="Show and set what tenants and sources may send.", no_args_is_help=True, add_completion=False)

Source = Annotated[UUID | None, typer.Option("--source", help="A source's id; without it, the whole tenant.")]
_DEFAULT = "Left out: the default."


@app.command()
def show(tenant: Tenant, source: Source = None) -> None:
    """Show the limits that were set and those that hold."""
    from app.ingest.limits import service
    from app.settings import Settings

    async def work(session: TenantSession) -> None:
        view = (
            await service.get_tenant_limits(session, settings=Settings())
            if source is None
            else await service.get_source_limits(session, source_id=source, settings=Settings())
        )
        Console().print_json(view.model_dump_json())

    in_tenant(tenant, work)


@app.command("set-tenant")
def set_tenant(
    tenant: Tenant,
    deliveries_per_s: Annotated[float | None, typer.Option(help=f"Deliveries a second. {_DEFAULT}")] = None,
    bytes_per_s: Annotated[float | None, typer.Option(help=f"Bytes of bodies a second. {_DEFAULT}")] = None,
    alerts_per_min: Annotated[float | None, typer.Option(help=f"Alerts in sixty seconds. {_DEFAULT}")] = None,
    backlog: Annotated[int | None, typer.Option(help=f"Deliveries that may wait. {_DEFAULT}")] = None,
) -> None:
    """Replace a tenant's limits."""
    from app.ingest.limits import service
    from app.ingest.limits.schemas import TenantLimits
    from app.settings import Settings

    limits = valid(
        TenantLimits,
        deliveries_per_s=deliveries_per_s,
        bytes_per_s=bytes_per_s,
        alerts_per_min=alerts_per_min,
        backlog=backlog,
    )

    async def work(session: TenantSession) -> None:
        view = await service.set_tenant_limits(session, limits=limits, settings=Settings(), actor=ACTOR, now=now())
        Console().print_json(view.model_dump_json())

    in_tenant(tenant, work)


@app.command("set-source")
def set_source(
    tenant: Tenant,
    source: Annotated[UUID, typer.Argument(help="The source's id.")],
    deliveries_per_s: Annotated[float | None, typer.Option(help=f"Deliveries a second. {_DEFAULT}")] = None,
    bytes_per_s: Annotated[float | None, typer.Option(help=f"Bytes of bodies a second. {_DEFAULT}")] = None,
    alerts_per_min: Annotated[float | None, typer.Option(help=f"Alerts in sixty seconds. {_DEFAULT}")] = None,
    storm_opens: Annotated[int | None, typer.Option(help=f"Incidents in the window. {_DEFAULT}")] = None,
    storm_window_s: Annotated[float | None, typer.Option(help=f"Seconds of the window. {_DEFAULT}")] = None,
    storm_quiet_s: Annotated[
        float | None, typer.Option(help=f"Seconds without a flood that end a storm. {_DEFAULT}")
    ] = None,
) -> None:
    """Replace a source's limits and thresholds; none may be looser than what holds anyway."""
    from app.ingest.limits import service
    from app.ingest.limits.schemas import SourceLimits
    from app.settings import Settings

    limits = valid(
        SourceLimits,
        deliveries_per_s=deliveries_per_s,
        bytes_per_s=bytes_per_s,
        alerts_per_min=alerts_per_min,
        storm_opens=storm_opens,
        storm_window_s=storm_window_s,
        storm_quiet_s=storm_quiet_s,
    )

    async def work(session: TenantSession) -> None:
        view = await service.set_source_limits(
            session, source_id=source, limits=limits, settings=Settings(), actor=ACTOR, now=now()
        )
        Console().print_json(view.model_dump_json())

    in_tenant(tenant, work)
