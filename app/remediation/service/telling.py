"""What a run says on its incident's timeline and in the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.audit.service import record as audit
from app.core.actor import Actor, ActorKind
from app.core.ids import IncidentId
from app.db.tenancy import TenantSession
from app.incidents.service import record_timeline
from app.remediation.models import RunRow


def runbook_actor(run: RunRow) -> Actor:
    """This will return the runbook as the one who acts."""
    name = f"runbook {run.runbook} v{run.runbook_version}"
    return Actor(kind=ActorKind.RUNBOOK, id=f"{run.runbook}:{run.id}", name=name)


async def tell(
    session: TenantSession,
    run: RunRow,
    *,
    kind: str,
    summary: str,
    reason: str,
    now: datetime,
    data: Mapping[str, Any] | None = None,
    actor: Actor | None = None,
) -> None:
    """This will write one entry on the incident's timeline; a run without an incident has none."""
    if run.incident_id is None:
        return
    await record_timeline(
        session,
        incident_id=IncidentId(run.incident_id),
        actor=actor or runbook_actor(run),
        kind=kind,
        summary=summary,
        reason=reason,
        data={"run_id": str(run.id), **(data or {})},
        now=now,
    )


async def audit_run(
    session: TenantSession,
    run: RunRow,
    *,
    action: str,
    detail: Mapping[str, Any],
    now: datetime,
    actor: Actor | None = None,
) -> None:
    """This will append to the audit trail."""
    detail = {"runbook": run.runbook, "mode": run.mode, "plan_digest": run.plan_digest, **detail}
    actor = actor or runbook_actor(run)
    await audit(session, actor=actor, action=action, subject=f"run:{run.id}", detail=detail, now=now)
