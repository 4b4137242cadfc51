"""Targets, tenants' runbooks and rules."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.remediation.models import RunbookRow, RunbookRuleRow, TargetRow


async def find_target(session: TenantSession, target_id: UUID) -> TargetRow | None:
    return await session.get(TargetRow, (session.tenant_id, target_id))


async def find_target_by_name(session: TenantSession, name: str) -> TargetRow | None:
    statement = select(TargetRow).where(TargetRow.tenant_id == session.tenant_id, TargetRow.name == name)
    return (await session.execute(statement)).scalar_one_or_none()


async def page_of_targets(session: TenantSession, *, before: UUID | None, limit: int) -> Sequence[TargetRow]:
    statement = select(TargetRow).where(TargetRow.tenant_id == session.tenant_id)
    return (await session.scalars(newest_first(statement, TargetRow.id, before=before, limit=limit))).all()


async def find_rule(session: TenantSession, rule_id: UUID) -> RunbookRuleRow | None:
    return await session.get(RunbookRuleRow, (session.tenant_id, rule_id))


async def enabled_rules(session: TenantSession) -> Sequence[RunbookRuleRow]:
    """This will return the tenant's active rules, oldest first, which is the order they are tried in."""
    statement = select(RunbookRuleRow).where(RunbookRuleRow.tenant_id == session.tenant_id, RunbookRuleRow.enabled)
    return (await session.execute(statement.order_by(RunbookRuleRow.id))).scalars().all()


async def page_of_rules(session: TenantSession, *, before: UUID | None, limit: int) -> Sequence[RunbookRuleRow]:
    statement = select(RunbookRuleRow).where(RunbookRuleRow.tenant_id == session.tenant_id)
    return (await session.scalars(newest_first(statement, RunbookRuleRow.id, before=before, limit=limit))).all()


async def rules_that_use(session: TenantSession, target_name: str) -> Sequence[str]:
    """This will return the names of rules that map a slot to this target by name."""
    rows = await enabled_rules(session)
    return [row.name for row in rows if target_name in row.targets.values()]


async def find_runbook(session: TenantSession, *, name: str, version: int | None) -> RunbookRow | None:
    """This will return the given version, or the newest."""
    statement = select(RunbookRow).where(RunbookRow.tenant_id == session.tenant_id, RunbookRow.name == name)
    if version is not None:
        statement = statement.where(RunbookRow.version == version)
    return (await session.execute(statement.order_by(RunbookRow.version.desc()).limit(1))).scalar_one_or_none()


async def newest_runbooks(session: TenantSession) -> Sequence[RunbookRow]:
    """This will return the newest version of each of the tenant's runbooks."""
    statement = (
        select(RunbookRow)
        .ext(distinct_on(RunbookRow.name))
        .where(RunbookRow.tenant_id == session.tenant_id)
        .order_by(RunbookRow.name, RunbookRow.version.desc())
        .limit(1000)
    )
    return (await session.execute(statement)).scalars().all()
