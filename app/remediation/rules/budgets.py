"""Whether one more act is within its budget; every refusal names the rule and the number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why something may not be done. ``code`` is stable, ``reason`` is for people."""

    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ActFacts:
    """What the ledger says just before an act, counted in the transaction that would write its intent.

    Attributes:
        on_target_last_hour: Acts on this target, whichever runbook did them.
        of_tenant_last_hour: Acts of this tenant.
        last_by_other_run: When another run last acted on this target.
    """

    target: str
    now: datetime
    on_target_last_hour: int
    of_tenant_last_hour: int
    last_by_other_run: datetime | None
    per_hour: int
    target_cap: int
    tenant_cap: int
    cooldown: timedelta


def refuse_act(facts: ActFacts) -> Refusal | None:
    """This will return why the act is over budget, or None."""
    limit = min(facts.per_hour, facts.target_cap)
    if facts.on_target_last_hour >= limit:
        used = f"{facts.on_target_last_hour} of {limit} acts on {facts.target} used this hour"
        return Refusal(code="budget.target_per_hour", reason=used)
    if facts.of_tenant_last_hour >= facts.tenant_cap:
        used = f"{facts.of_tenant_last_hour} of {facts.tenant_cap} acts of this tenant used this hour"
        return Refusal(code="budget.tenant_per_hour", reason=used)
    if facts.last_by_other_run is not None and facts.now - facts.last_by_other_run < facts.cooldown:
        since = int((facts.now - facts.last_by_other_run).total_seconds())
        cooldown = int(facts.cooldown.total_seconds())
        return Refusal(
            code="budget.cooldown", reason=f"{facts.target} was acted on {since}s ago, and its cooldown is {cooldown}s"
        )
    return None


def refuse_ineffective(*, target: str, in_a_row: int, limit: int) -> Refusal | None:
    """This will return why a target is closed to automation after runs that did not help, or None."""
    if in_a_row < limit:
        return None
    reason = f"the last {in_a_row} runs on {target} acted without proven recovery (limit {limit}); a person has to look"
    return Refusal(code="ineffective", reason=reason)
