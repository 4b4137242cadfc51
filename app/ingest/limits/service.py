"""Setting and reading limits. A change is in force in every API process within seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Invalid
from app.db.tenancy import TenantSession
from app.ingest.admission import source_defaults, tenant_defaults
from app.ingest.limits import repository
from app.ingest.limits.schemas import SourceLimits, SourceLimitsView, TenantLimits, TenantLimitsView
from app.ingest.rules.limits import Limits
from app.ingest.rules.storms import default_rule, own_rule
from app.ingest.service import get_source
from app.settings import Settings
from app.tenants.service import get_tenant


class LimitTooLoose(Invalid):
    """A source cannot be let more than its tenant, nor be a storm later than others."""

    code = "limits.too_loose"
    title = "The limit is looser than what holds anyway"
    hint = "A tenant may only lower its sources' limits; an operator raises the tenant's."


async def get_tenant_limits(session: TenantSession, *, settings: Settings) -> TenantLimitsView:
    """This will return the limits of the tenant whose transaction this is.

    Raises:
        TenantNotFound: There is none.
    """
    await get_tenant(session)
    return _tenant_view(await repository.find_tenant_limits(session), settings)


async def set_tenant_limits(
    session: TenantSession, *, limits: TenantLimits, settings: Settings, actor: Actor, now: datetime
) -> TenantLimitsView:
    """This will replace a tenant's limits; for operators.

    Raises:
        TenantNotFound: There is none.
    """
    tenant = await get_tenant(session)
    before, after = await repository.find_tenant_limits(session), limits.stored()
    await repository.set_tenant_limits(session, after, now=now)
    detail = {"from": before, "to": after}
    await record(
        session, actor=actor, action="tenant.limits_changed", subject=f"tenant:{tenant.id}", detail=detail, now=now
    )
    return _tenant_view(after, settings)


async def get_source_limits(session: TenantSession, *, source_id: UUID, settings: Settings) -> SourceLimitsView:
    """This will return a source's limits.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
    """
    row = await get_source(session, source_id=source_id)
    return _source_view(row.limits, await repository.find_tenant_limits(session), settings)


async def set_source_limits(
    session: TenantSession,
    *,
    source_id: UUID,
    limits: SourceLimits,
    settings: Settings,
    actor: Actor,
    now: datetime,
) -> SourceLimitsView:
    """This will replace a source's limits.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
        LimitTooLoose: One is looser than what holds anyway.
    """
    row = await get_source(session, source_id=source_id, lock=True)
    of_tenant = await repository.find_tenant_limits(session)
    after = limits.stored()
    _refuse_looser(after, of_tenant, settings)
    detail = {"from": row.limits, "to": after}
    row.limits, row.updated_at = after, now
    await session.flush()
    await record(
        session, actor=actor, action="source.limits_changed", subject=f"source:{row.id}", detail=detail, now=now
    )
    return _source_view(after, of_tenant, settings)


def _refuse_looser(own: dict[str, Any], of_tenant: dict[str, Any], settings: Settings) -> None:
    holds = Limits.of(of_tenant, otherwise=tenant_defaults(settings.limits))
    looser = Limits.of(own).is_within(holds)
    if looser is not None:
        raise LimitTooLoose(f"{looser}: the tenant may send {getattr(holds, looser):g}")
    rule, wanted = default_rule(settings.storms), own_rule(own, otherwise=default_rule(settings.storms))
    if wanted.opens / wanted.window_s > rule.opens / rule.window_s or wanted.opens > rule.opens:
        raise LimitTooLoose(f"storm_opens: a source may open {rule.opens} incidents in {rule.window_s:g} s")


def _tenant_view(own: dict[str, Any], settings: Settings) -> TenantLimitsView:
    return TenantLimitsView(own=TenantLimits(**own), effective=_tenants(own, settings))


def _tenants(own: dict[str, Any], settings: Settings) -> TenantLimits:
    limits = Limits.of(own, otherwise=tenant_defaults(settings.limits))
    return TenantLimits(
        deliveries_per_s=limits.deliveries_per_s,
        bytes_per_s=limits.bytes_per_s,
        alerts_per_min=limits.alerts_per_min,
        backlog=limits.backlog,
    )


def _source_view(own: dict[str, Any], of_tenant: dict[str, Any], settings: Settings) -> SourceLimitsView:
    limits = Limits.of(own, otherwise=source_defaults(settings.limits))
    rule = own_rule(own, otherwise=default_rule(settings.storms))
    effective = SourceLimits(
        deliveries_per_s=limits.deliveries_per_s,
        bytes_per_s=limits.bytes_per_s,
        alerts_per_min=limits.alerts_per_min,
        storm_opens=rule.opens,
        storm_window_s=rule.window_s,
        storm_quiet_s=rule.quiet_s,
    )
    return SourceLimitsView(own=SourceLimits(**own), effective=effective, tenant=_tenants(of_tenant, settings))
