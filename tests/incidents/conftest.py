"""What the tests of incidents share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import event

from app.auth.rules import Role
from app.core import events
from app.core.actor import Actor, ActorKind
from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.incidents.events import IncidentOpened, IncidentResolved, IncidentUpdated, TicketReceived
from app.incidents.schemas import IncidentView
from tests.factories.incidents import open_incident

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


@contextmanager
def counted_statements(database: Database) -> Iterator[list[str]]:
    """The statements that the application's role executes inside."""
    seen: list[str] = []

    def note(*call: Any) -> None:
        seen.append(call[2])

    engine = database.app.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


Tokens = dict[Role, str]
Opener = Callable[..., Awaitable[IncidentView]]


@pytest.fixture
def opens(database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard) -> Opener:
    """Opens an incident of the tenant with a commit."""

    async def open_one(**changes: Any) -> IncidentView:
        async with tenant_session(database, tenant_id) as session:
            return await open_incident(session, now=clock.now(), **changes)

    return open_one


@pytest.fixture
def viewer(tokens: Tokens) -> dict[str, str]:
    return {"Authorization": tokens[Role.VIEWER]}


@pytest.fixture
def responder(tokens: Tokens) -> dict[str, str]:
    return {"Authorization": tokens[Role.RESPONDER]}


async def ids_of(api: httpx.AsyncClient, headers: dict[str, str], path: str, **query: Any) -> list[UUID]:
    answer = await api.get(path, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [UUID(item["id"]) for item in answer.json()["items"]]
