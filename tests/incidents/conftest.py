"""What the tests of incidents share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.core import events
from app.core.actor import Actor, ActorKind
from app.incidents.events import IncidentOpened, IncidentResolved, IncidentUpdated, TicketReceived

FACTS = (IncidentOpened, IncidentUpdated, IncidentResolved, TicketReceived)


@pytest.fixture
def ana() -> Actor:
    """A person who responds."""
    return Actor(kind=ActorKind.TOKEN, id="t-1", name="Ana")


class Heard:
    """The facts that were emitted, in order."""

    def __init__(self) -> None:
        self.facts: list[Any] = []

    def names(self) -> list[str]:
        """The facts by name, updates with what was updated."""
        return [
            f"{type(fact).__name__}:{fact.what}" if isinstance(fact, IncidentUpdated) else type(fact).__name__
            for fact in self.facts
        ]

    def of(self, kind: type) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


@pytest.fixture
async def heard(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Heard]:
    """Listens instead of the upper domains, whose reactions have their own tests."""
    heard = Heard()

    async def listen(session: object, fact: object) -> None:
        heard.facts.append(fact)

    with monkeypatch.context() as patch:
        for kind in FACTS:
            patch.setitem(events._subscribers, kind, [listen])
        yield heard
