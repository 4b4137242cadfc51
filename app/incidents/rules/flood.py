"""When a source, or all of a tenant's together, open so many incidents that one each would help nobody."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from app.incidents.rules.signals import Signal
from app.incidents.rules.states import Severity

FLOOD_GROUP = "flood:"
"""The group of what a source's storm took in; no other key looks like it."""

TENANT_FLOOD = "flood:tenant"
"""The group of what a storm of the whole tenant took in."""

FLOODS = (FLOOD_GROUP, TENANT_FLOOD)


def group_owner(group_key: str, *, source_id: UUID, tenant_id: UUID) -> UUID:
    """This will return the id under which a group is kept: its source's, or the tenant's where all sources share it."""
    return tenant_id if group_key == TENANT_FLOOD else source_id


@dataclass(frozen=True, kw_only=True)
class StormRule:
    """What counts as a flood, and when it is over.

    Attributes:
        opens: Incidents that one source may open within the window; what comes on top is a storm.
        window_s: Seconds of the window.
        most_open: Open incidents of one source at which its storm begins, however slowly they came.
        tenant_opens: As ``opens``, of all sources of the tenant together.
        p0_opens: Incidents of P0 that a source may still open within the window during a storm.
        quiet_s: Seconds without a flood after which a storm is over.
    """

    opens: int = 200
    window_s: float = 60.0
    most_open: int = 500
    tenant_opens: int = 1000
    p0_opens: int = 100
    quiet_s: float = 300.0

    @property
    def window(self) -> timedelta:
        return timedelta(seconds=self.window_s)

    @property
    def quiet(self) -> timedelta:
        return timedelta(seconds=self.quiet_s)

    @property
    def goes_on_at(self) -> int:
        """New alerts in a window that keep a storm going: far fewer than began it, so that it does not begin and end."""
        return max(1, math.ceil(self.opens / 4))


@dataclass(kw_only=True)
class Room:
    """How many incidents may still be opened: by the source, by the tenant, and of P0 by the source in a storm."""

    source: int = StormRule.most_open
    tenant: int = StormRule.tenant_opens
    p0: int = StormRule.p0_opens

    @classmethod
    def under(cls, rule: StormRule, *, open_now: int, opened: int, p0_opened: int, tenant_opened: int) -> Room:
        """This will return what is left, by what the source has open and what was opened within the window."""
        return cls(
            source=min(rule.most_open - open_now, rule.opens - opened),
            tenant=rule.tenant_opens - tenant_opened,
            p0=min(rule.p0_opens - p0_opened, rule.most_open + rule.p0_opens - open_now),
        )

    def open_one(self) -> None:
        """This will count an incident."""
        self.source -= 1
        self.tenant -= 1

    def flood(self, *, raging: frozenset[str]) -> str | None:
        """This will return the group that a new alert goes to instead of an incident of its own, or None."""
        if FLOOD_GROUP in raging or self.source <= 0:
            return FLOOD_GROUP
        if TENANT_FLOOD in raging or self.tenant <= 0:
            return TENANT_FLOOD
        return None

    def spares(self, severity: Severity) -> bool:
        """This will say whether an alert of this severity has an incident of its own in a storm too, and count it."""
        if severity is not Severity.P0 or self.p0 <= 0:
            return False
        self.p0 -= 1
        return True


def flooding(signal: Signal, source_name: str, *, group: str = FLOOD_GROUP) -> Signal:
    """This will return the signal as a member of its source's, or the tenant's, flood."""
    title = f"Alert storm from {source_name}" if group == FLOOD_GROUP else "Alert storm from several sources"
    return replace(signal, group_key=group, group_labels={}, title=title, name="AlertStorm", labels={}, ticket=None)


def why_flood(rule: StormRule, *, group: str, source_name: str) -> str:
    """This will say what made a flood of it."""
    if group == TENANT_FLOOD:
        return f"the tenant's sources opened {rule.tenant_opens} incidents in {rule.window_s:g} s"
    limits = f"{rule.opens} incidents in {rule.window_s:g} s, or {rule.most_open} open at once"
    return f"{source_name} has opened as many incidents as it may: {limits}"
