"""Named places in the code where a test may make the process die, fail or wait; off unless a setting names them.

Between any two statements a machine can be lost. The places below are those where losing it matters, and a fault test
goes through each. They cost a look at an empty dictionary while nothing is armed, and production refuses the setting.

The setting is a list such as ``relay.after_publish=kill@nth:3;effect.after_send=sleep:2s@p:0.1@seed:7``: a name, an
action (``kill``, ``error``, ``sleep:2s`` for this task alone, ``freeze:2s`` for the whole event loop), and when it acts:
``once``, ``nth:3`` (the third time only), ``p:0.1`` (with that probability, drawn from ``seed``); else every time.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

FAILPOINTS: Mapping[str, str] = {
    "ingest.before_insert": "the transaction of a group commit is open, nothing is written",
    "ingest.after_insert": "deliveries and jobs are written, not committed",
    "ingest.after_commit": "they are committed, no sender has its answer",
    "relay.after_claim": "due jobs are marked published and committed, the broker has none of them",
    "relay.after_publish": "the broker has them",
    "sweep.after_republish": "lost messages are marked published anew and committed, the broker has none of them",
    "sweep.after_expired": "jobs of lost workers are moved and committed, nothing is reported",
    "sweep.before_extra": "one of the further repairs is about to begin",
    "claim.before": "a message has come, its job is not claimed",
    "claim.after_commit": "the job is ours and its attempt is counted, its handler has not begun",
    "effect.after_intent": "the intent is committed, the deadline is not looked at",
    "effect.before_send": "the deadline was looked at, the target has not been called",
    "effect.after_send": "the target has answered, the outcome is not written",
    "finish.before_commit": "the result and the job's end are written, not committed",
    "finish.after_commit": "they are committed, the worker does not know it",
}

Action = Callable[[], Awaitable[None]]


class InjectedFailure(RuntimeError):
    """What the action ``error`` raises: no handler can have foreseen it."""


class BadFailpoint(ValueError):
    """The setting names no such place or action."""


_armed: dict[str, Action] = {}
hits: Counter[str] = Counter()
"""How often an armed place was reached, for tests in the same process."""


async def failpoint(name: str) -> None:
    """This will do what is armed at this place; nothing, almost always."""
    if _armed and name in _armed:
        hits[name] += 1
        await _armed[name]()


def arm(setting: str) -> None:
    """This will arm exactly what the setting names; an empty one disarms everything.

    Raises:
        BadFailpoint: A name or an action is not known.
    """
    fresh = parse(setting)
    _armed.clear()
    _armed.update(fresh)


@contextmanager
def armed(actions: Mapping[str, Action | str]) -> Iterator[None]:
    """This will arm places of this process for the length of the block: with a setting's text, or any coroutine."""
    before = dict(_armed)
    for name, action in actions.items():
        _known(name)
        _armed[name] = _parse_action(action) if isinstance(action, str) else action
    hits.clear()
    try:
        yield
    finally:
        _armed.clear()
        _armed.update(before)


def parse(setting: str) -> dict[str, Action]:
    """This will read a setting's text.

    Raises:
        BadFailpoint: A name or an action is not known.
    """
    found: dict[str, Action] = {}
    for part in filter(None, (part.strip() for part in setting.split(";"))):
        name, _, action = part.partition("=")
        _known(name.strip())
        found[name.strip()] = _parse_action(action.strip())
    return found


@dataclass
class _When:
    """Whether an action acts this time."""

    nth: int = 0
    probability: float = 1.0
    rng: random.Random = field(default_factory=random.Random)
    count: int = 0

    def now(self) -> bool:
        self.count += 1
        if self.nth:
            return self.count == self.nth
        return self.probability >= 1 or self.rng.random() < self.probability


def _known(name: str) -> None:
    if name not in FAILPOINTS:
        raise BadFailpoint(f"no failpoint is called {name!r}; there are {', '.join(FAILPOINTS)}")


def _parse_action(written: str) -> Action:
    what, *conditions = written.split("@")
    verb, _, argument = what.partition(":")
    act, when = _ACTIONS.get(verb), _when(conditions)
    if act is None:
        raise BadFailpoint(f"no action is called {verb!r}; there are {', '.join(_ACTIONS)}")
    seconds = _seconds(argument) if argument else 0.0

    async def acting() -> None:
        if when.now():
            await act(seconds)

    return acting


def _when(conditions: list[str]) -> _When:
    when = _When()
    for condition in conditions:
        word, _, value = condition.partition(":")
        try:
            if word == "once":
                when.nth = 1
            elif word == "nth":
                when.nth = int(value)
            elif word == "p":
                when.probability = float(value)
            elif word == "seed":
                when.rng = random.Random(int(value))  # noqa: S311 - chance that a seed repeats, not a secret
            else:
                raise BadFailpoint(f"no condition is called {word!r}; there are once, nth, p, seed")
        except ValueError as error:
            raise BadFailpoint(f"condition {condition!r}: {error}") from error
    return when


def _seconds(written: str) -> float:
    try:
        return float(written.removesuffix("s"))
    except ValueError as error:
        raise BadFailpoint(f"{written!r} is no number of seconds") from error


async def _kill(_: float) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _error(_: float) -> None:
    raise InjectedFailure("a failpoint was armed here")


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _freeze(seconds: float) -> None:
    # On purpose: the whole process stands still, as under SIGSTOP or a stalled disk.
    time.sleep(seconds)  # noqa: ASYNC251


_ACTIONS: dict[str, Callable[[float], Awaitable[None]]] = {
    "kill": _kill,
    "error": _error,
    "sleep": _sleep,
    "freeze": _freeze,
}
