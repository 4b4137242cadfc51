"""The states of runs and steps, and how a run can end."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """How far a run may go. The ladder of trust: observe, dry_run, approve_each, auto."""

    OBSERVE = "observe"
    DRY_RUN = "dry_run"
    APPROVE_EACH = "approve_each"
    AUTO = "auto"


class RunState(StrEnum):
    """``running`` includes waiting for a timer: the driving job says until when."""

    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a run ended; each comes with a reason in words. SIMULATED is a dry run that went through."""

    RECOVERED = "recovered"
    NO_ACTION_NEEDED = "no_action_needed"
    NOT_RECOVERED = "not_recovered"
    UNVERIFIED = "unverified"
    REFUSED = "refused"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN_EFFECT = "unknown_effect"
    SIMULATED = "simulated"


class StepState(StrEnum):
    """Where a step of a run is."""

    PENDING = "pending"
    AWAITING_APPROVAL = "awaiting_approval"
    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


# What hands the incident to a person. A cancelled run was ended by one, and a dry run asked for nothing.
ESCALATING = frozenset(
    {
        Outcome.NOT_RECOVERED,
        Outcome.UNVERIFIED,
        Outcome.REFUSED,
        Outcome.DENIED,
        Outcome.EXPIRED,
        Outcome.UNKNOWN_EFFECT,
    }
)
# A run that acted without proven success counts against its target, whatever its steps answered.
INEFFECTIVE = frozenset({Outcome.NOT_RECOVERED, Outcome.UNVERIFIED, Outcome.EXPIRED, Outcome.UNKNOWN_EFFECT})
