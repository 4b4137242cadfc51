"""``tocsin tenant`` and ``tocsin token``: what an operator types, end to end on the database."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import httpx
import pytest

from app.auth.deps import TokenLookup
from app.cli import tenants, tokens
from app.core.ids import new_id
from app.core.resources import Resources
from app.settings import Settings
from tests.fixtures.commands import put_in_environment, run_command


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's settings as its environment has them."""
    put_in_environment(monkeypatch, settings)


async def run(part: Any, *words: str) -> tuple[int, str]:
    return await run_command(part.app, *words)


async def ok(part: Any, *words: str) -> str:
    code, shown = await run(part, *words)
    assert code == 0, shown
    return shown


def token_in(shown: str) -> str:
    found = re.search(r"tc[so]_\w+", shown)
    assert found is not None, shown
    return found.group()


class Asking:
    def __init__(self, api: httpx.AsyncClient, resources: Resources) -> None:
        self._api = api
        self._resources = resources

    async def status(self, token: str, path: str = "/v1/me") -> int:
        """The answer's status in a process that remembers nothing."""
        with contextlib.suppress(LookupError):
            self._resources.get(TokenLookup)._known.clear()
        return (await self._api.get(path, headers={"Authorization": f"Bearer {token}"})).status_code


@pytest.fixture
def asking(api: httpx.AsyncClient, resources: Resources, environment: None) -> Asking:
    return Asking(api, resources)


async def test_a_tenant_from_the_shell_lives_through_its_whole_life(asking: Asking) -> None:
    slug = f"shell-{new_id().hex[-10:]}"
    shown = await ok(tenants, "create", slug)
    tenant, admin = str(re.findall(r"tenant: (\S+)", shown)[0]), token_in(shown)
    assert await asking.status(admin) == 200
    assert slug in await ok(tenants, "list", "--limit", "1000")
    await ok(tenants, "isolate", tenant, "--reason", "leak")
    assert await asking.status(admin) == 403
    await ok(tenants, "restore", tenant, "--reason", "done")
    assert await asking.status(admin) == 200
    code, shown = await run(tenants, "create", slug)
    assert (code, "This slug is taken" in shown) == (1, True)


async def test_a_token_from_the_shell_is_listed_without_its_text_and_revoked(asking: Asking) -> None:
    shown = await ok(tenants, "create", f"shell-{new_id().hex[-10:]}")
    tenant = str(re.findall(r"tenant: (\S+)", shown)[0])
    made = await ok(tokens, "create", "grafana", "--tenant", tenant, "--role", "responder", "--days", "0")
    token, token_id = token_in(made), str(re.findall(r"id: (\S+)", made)[0])
    assert await asking.status(token) == 200
    listed = await ok(tokens, "list", "--tenant", tenant)
    assert token_id in listed
    assert token not in listed
    await ok(tokens, "revoke", token_id, "--tenant", tenant)
    assert await asking.status(token) == 401
    code, shown = await run(tokens, "revoke", str(new_id()), "--tenant", tenant)
    assert (code, "No such token" in shown) == (1, True)


async def test_an_operators_token_is_made_listed_and_revoked(asking: Asking) -> None:
    made = await ok(tokens, "create-operator", "night shift", "--days", "0")
    token, token_id = token_in(made), str(re.findall(r"id: (\S+)", made)[0])
    assert await asking.status(token, "/v1/admin/tenants") == 200
    listed = await ok(tokens, "list-operators")
    assert token_id in listed
    assert token not in listed
    await ok(tokens, "revoke-operator", token_id)
    assert await asking.status(token, "/v1/admin/tenants") == 401
    code, shown = await run(tokens, "revoke-operator", token_id)
    assert (code, "No such token" in shown) == (1, True)
