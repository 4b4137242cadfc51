"""What an action is: a folder under ``actions/`` that exports ``ACTION``, one of the three types below.

An action knows no table and opens no transaction; the engine journals what it does. It gets its target with the
credential at call time, and only clients of the strength that its kind allows: a read action cannot write by HTTP,
and a dry run is given no client at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from pydantic import BaseModel, SecretStr

from app.remediation.rules.connections import Connection
from app.remediation.rules.spec import ActionSpec

__all__ = [
    "ActionSpec",
    "ActionTarget",
    "Directive",
    "Escalation",
    "HttpAnswer",
    "InternalAction",
    "NotApplied",
    "Note",
    "Pause",
    "ReadAction",
    "ReadContext",
    "ReadFailed",
    "ReadHttp",
    "Repeat",
    "Resolution",
    "Resolver",
    "Unreachable",
    "Verdict",
    "WriteAction",
    "WriteContext",
    "WriteHttp",
]


class Repeat(StrEnum):
    """Who holds the idempotency of an effect; the same words as the effects journal's."""

    AT_MOST_ONCE = "at_most_once"
    KEYED = "keyed"
    IDEMPOTENT = "idempotent"


class Verdict(StrEnum):
    """What a look at the target says about an effect whose outcome is unclear."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    CANNOT_TELL = "cannot_tell"


class NotApplied(Exception):
    """Raised by a write action when the target has certainly not done it. Any other error leaves it unclear."""


class ReadFailed(Exception):
    """Raised by a read action when there is nothing to read: no sample, which is never taken for health."""


class Unreachable(Exception):
    """No answer came. ``sent`` says whether the target may have seen the call."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True, kw_only=True)
class ActionTarget:
    """A row of the inventory, with its credential for the length of one call."""

    id: UUID
    name: str
    kind: str
    environment: str
    connection: Connection
    secret: SecretStr | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def bearer(self) -> dict[str, str]:
        """This will return the header that takes the credential to an HTTP service; none where there is no credential."""
        return {"authorization": f"Bearer {self.secret.get_secret_value()}"} if self.secret else {}


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    body: bytes


class ReadHttp(Protocol):
    """HTTP that cannot change anything."""

    async def get(self, url: str, *, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> HttpAnswer:
        """This will send a GET.

        Raises:
            Unreachable: No answer, or the address may not be reached.
        """
        ...


class WriteHttp(Protocol):
    """HTTP that can."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        json: Any,
        timeout_s: float,
        max_bytes: int,
    ) -> HttpAnswer:
        """This will send a request.

        Raises:
            Unreachable: No answer, or the address may not be reached.
        """
        ...


class Resolver(Protocol):
    """Name look-up under the egress policy, for connections that are not HTTP."""

    async def pin(self, host: str, port: int) -> str:
        """This will return the one address that may be connected to.

        Raises:
            Unreachable: No such host, or the policy forbids its address.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ReadContext:
    """What a read gets."""

    target: ActionTarget
    timeout_s: float
    http: ReadHttp
    resolver: Resolver


@dataclass(frozen=True, kw_only=True)
class WriteContext:
    """What a write gets. ``effect_key`` names the effect; give it to the target where the target keeps keys."""

    target: ActionTarget
    timeout_s: float
    http: WriteHttp
    effect_key: str


Run: TypeAlias = Callable[[Any, Any], Awaitable[BaseModel]]


@dataclass(frozen=True, kw_only=True)
class ReadAction:
    """Looks at a target: ``run(ReadContext, params) -> output``."""

    spec: ActionSpec
    run: Run


@dataclass(frozen=True, kw_only=True)
class WriteAction:
    """Changes a target.

    Attributes:
        run: ``(WriteContext, params) -> output``; raises NotApplied when nothing was done.
        dry_run: What it would do, as a sentence; it has no client to do it with.
        repeat: Who holds the idempotency when called with these parameters.
        probe: Looks whether an unclear effect happened: ``(ReadContext, params, effect_key) -> Verdict``.
    """

    spec: ActionSpec
    run: Run
    dry_run: Callable[[ActionTarget, Any], str]
    repeat: Callable[[Any], Repeat]
    probe: Callable[[ReadContext, Any, str], Awaitable[Verdict]] | None = None


@dataclass(frozen=True)
class Note:
    """Write this on the incident's timeline."""

    text: str


@dataclass(frozen=True)
class Escalation:
    """Hand over to a person."""

    policy: str
    reason: str


@dataclass(frozen=True)
class Resolution:
    """Resolve the incident: recovery has been proven."""

    reason: str


@dataclass(frozen=True)
class Pause:
    """Go on after this time; a row, not a sleep."""

    duration: timedelta


Directive: TypeAlias = Note | Escalation | Resolution | Pause


@dataclass(frozen=True, kw_only=True)
class InternalAction:
    """Works on the incident or the run itself: ``decide(params)`` says what, the engine does it in its transaction."""

    spec: ActionSpec
    decide: Callable[[Any], Directive]


Action: TypeAlias = ReadAction | WriteAction | InternalAction
