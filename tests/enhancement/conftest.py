"""The stand-ins that these tests talk to, and a tenant that has something to say about its tickets."""

from __future__ import annotations

import httpx
import pytest

from app.auth.rules import Role
from app.core.resources import Resources
from tests.enhancement.callers import Client
from tests.enhancement.world import World, make_furnished_world
from tests.fixtures.chat import chat
from tests.fixtures.servicedesk import ServedDesk, servicedesk

__all__ = ["chat", "servicedesk"]

Tokens = dict[Role, str]


@pytest.fixture
async def world(resources: Resources, servicedesk: ServedDesk) -> World:
    """A tenant with a desk, a solved ticket and an entry of documentation."""
    return await make_furnished_world(resources, servicedesk)


@pytest.fixture
def viewer(api: httpx.AsyncClient, tokens: Tokens) -> Client:
    return Client(api, tokens[Role.VIEWER])


@pytest.fixture
def responder(api: httpx.AsyncClient, tokens: Tokens) -> Client:
    return Client(api, tokens[Role.RESPONDER])


@pytest.fixture
def engineer(api: httpx.AsyncClient, tokens: Tokens) -> Client:
    return Client(api, tokens[Role.ENGINEER])


@pytest.fixture
def stranger(api: httpx.AsyncClient, other_tokens: Tokens) -> Client:
    """An admin of another tenant."""
    return Client(api, other_tokens[Role.ADMIN])
