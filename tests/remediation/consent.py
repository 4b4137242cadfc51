"""Runbooks that ask, and how to bring a run to its question and answer it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx

from app.auth.rules import Role
from app.remediation.rules.states import RunState
from tests.factories.runbooks import LOOK, make_runbook, restart
from tests.remediation.conftest import Callers, Ward

APPROVED_ACT = make_runbook(
    "asked-restart",
    LOOK,
    restart(approval="{by: engineer, expires: 10m}"),
    "  - tell: handed\n    escalate: {policy: default, reason: Nobody agreed.}\n",
    limits="ceiling: once, per_hour: 5, run_timeout: 30m",
)
WITH_ELSE = APPROVED_ACT.replace("expires: 10m}", "expires: 10m, else: handed}")
CONDITIONAL = APPROVED_ACT.replace("{by: engineer,", "{when: \"incident.severity == 'P1'\", by: engineer,")
ASK = APPROVED_ACT.replace(
    "  - act: restart",
    '  - ask: sure\n    question: "Restart ${target.service.name}?"\n    by: responder\n    expires: 10m\n  - act: restart',
).replace("    approval: {by: engineer, expires: 10m}\n", "")


async def wait_for_consent(ward: Ward, source: str = APPROVED_ACT, **differs: Any) -> UUID:
    """A run of the runbook that has come to its question."""
    await ward.add_runbook(source)
    run_id = await ward.start(**({"runbook": "asked-restart"} | differs))
    await ward.work()
    assert (await ward.run(run_id)).state is RunState.AWAITING_APPROVAL
    return run_id


async def answer(
    ward: Ward, callers: Callers, run_id: UUID, *, role: Role = Role.ENGINEER, **differs: Any
) -> httpx.Response:
    """Decide on the restart as the role; agreeing to the plan as it is shown unless the test says otherwise."""
    shown = await ward.run(run_id)
    body = {"step": "restart", "plan_digest": shown.plan_digest, "decision": "approve"} | differs
    return await callers.call(role, "POST", f"/v1/runs/{run_id}/approve", json=body)
