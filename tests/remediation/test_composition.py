"""A runbook that uses another one holds to what it promised, whatever becomes of the other."""

from __future__ import annotations

import pytest

from app.remediation.rules.states import Outcome
from app.remediation.service import RunNotStarted
from tests.factories.runbooks import LOOK, make_looking_runbook, make_runbook, restart
from tests.remediation.conftest import Ward

OUTER = make_runbook("outer", "  - use: look\n    runbook: inner\n", limits="ceiling: read, run_timeout: 20m").replace(
    'all: [{check: probe, is: "probe.up"}]', "all: [{alert: ServiceDown, is: resolved}]"
)
INNER = make_looking_runbook("inner")


async def test_a_used_runbook_that_now_does_more_than_its_user_may_is_not_started(ward: Ward) -> None:
    await ward.add_runbook(INNER)
    await ward.add_runbook(OUTER)
    await ward.add_runbook(make_runbook("inner", LOOK, restart()).replace("version: 1", "version: 2"))
    with pytest.raises(RunNotStarted) as refused:
        await ward.start(runbook="outer")
    assert refused.value.refusal.code == "runbook.unfit"
    assert "above this runbook's ceiling" in refused.value.refusal.reason
    await ward.work()
    assert ward.patient.writes == []


async def test_a_rule_whose_runbook_no_longer_fits_what_it_uses_says_so_and_calls_a_person(ward: Ward) -> None:
    await ward.add_runbook(INNER)
    await ward.add_runbook(OUTER)
    await ward.add_rule(runbook="outer")
    other = INNER.replace("version: 1", "version: 2").replace("inputs: {}", "inputs: {path: {type: string}}")
    await ward.add_runbook(other)
    await ward.open_incident()
    await ward.work()
    run = await ward.run()
    assert (run.outcome, run.reason_code, run.escalated) == (Outcome.REFUSED, "runbook.unfit", True)
    assert "needs the input 'path'" in run.reason
