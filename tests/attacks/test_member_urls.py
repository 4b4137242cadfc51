"""D07: addresses that a member sets, and credentials that would go along when one is changed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.auth.rules import Role
from app.core.ids import TenantId
from app.core.resources import Resources
from app.net.errors import EgressRefused
from app.net.signing.remote_keys import fetch_with
from tests.factories.ingest import committed_source
from tests.net.callers import Names, outbound

Tokens = dict[Role, str]
URLS = [
    "http://user:pass@desk.test",
    "file:///etc/passwd",
    "http://127.0.0.1.",
    "http://0x7f.1/",
    "http://desk.test\\@evil.test",
    "ldap://desk.test",
]


async def refused_at_dial(url: str) -> None:
    """An address in an odd spelling looks like a name to where it is kept; the dialler knows better."""
    http = outbound("127.0.0.0/8", names=Names(["127.0.0.1"]))
    with pytest.raises(EgressRefused) as refusal:
        await fetch_with(http)(url)
    assert not refusal.value.sent
    await http.aclose()


@pytest.mark.attack("D07")
@pytest.mark.parametrize("url", URLS)
async def test_an_address_that_a_member_sets(
    api: httpx.AsyncClient, tokens: Tokens, resources: Resources, tenant_id: TenantId, url: str
) -> None:
    """Desks, targets and checks: the form is refused when it is set, the address when it is dialled."""
    headers = {"authorization": tokens[Role.ADMIN]}
    source = await committed_source(resources, tenant_id)
    bodies: dict[str, dict[str, Any]] = {
        "/v1/desks": {"kind": "servicedesk", "name": "d", "base_url": url, "secret": "k" * 20},
        "/v1/targets": {"name": "t", "kind": "http", "connection": {"base_url": url}},
        "/v1/checks": {"source_id": str(source.source.id), "name": "c", "url": url},
    }
    for path, body in bodies.items():
        answer = await api.post(path, json=body, headers=headers)
        if path == "/v1/targets" and answer.status_code == 201:
            await refused_at_dial(url)
            continue
        assert answer.status_code == 422, f"{path}: {answer.status_code} {answer.text}"
        assert answer.json()["code"] in ("validation", "enhancement.desk_options_invalid", "target.connection_invalid")


@pytest.mark.attack("D07")
@pytest.mark.parametrize(
    ("url", "is_kept"),
    [
        *((url.replace("http:", "https:"), False) for url in URLS if "@" in url),
        *((url, False) for url in ("file:///etc/passwd", "ldap://keys.test/k", "http://keys.test/k", "//keys.test/k")),
        *((f"https://{host}/keys", True) for host in ("127.0.0.1.", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]")),
        ("https://169.254.169.254/latest/meta-data", True),
    ],
)
async def test_an_address_of_keys_that_a_member_sets(
    api: httpx.AsyncClient, tokens: Tokens, resources: Resources, tenant_id: TenantId, url: str, is_kept: bool
) -> None:
    """A profile of a tenant's own names where its sender's keys are: what looks like a host is judged at dial."""
    headers = {"authorization": tokens[Role.ENGINEER]}
    source = await committed_source(resources, tenant_id)
    document = (await api.get("/v1/signature-profiles/azure_monitor", headers=headers)).json()["document"]
    document = document | {"slug": "own", "jwt": document["jwt"] | {"jwks_url": url}}
    # The keys stand in the vectors by their address: these are as right as before.
    for vector in document["vectors"]:
        if vector.get("remote"):
            vector["remote"] = {url: next(iter(vector["remote"].values()))}
    body = {"profile": document, "secret": "audience=api://mine.example tenant=1f6b1c1e-1111-4222-8333-444455556666"}
    answer = await api.put(f"/v1/sources/{source.source.id}/profile", json=body, headers=headers)
    assert (answer.status_code == 200) is is_kept, answer.text
    if is_kept:
        await refused_at_dial(url)
    else:
        assert "jwks_url" in answer.text


@pytest.mark.attack("D07")
async def test_a_desk_that_is_moved_does_not_take_the_old_key_along(api: httpx.AsyncClient, tokens: Tokens) -> None:
    headers = {"authorization": tokens[Role.ADMIN]}
    desk = {"kind": "servicedesk", "name": "d", "base_url": "https://desk.example.test", "secret": "k" * 20}
    made = (await api.post("/v1/desks", json=desk, headers=headers)).json()
    moved = {"base_url": "https://evil.example.test"}
    answer = await api.patch(f"/v1/desks/{made['id']}", json=moved, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "enhancement.desk_options_invalid")
    kept = await api.get(f"/v1/desks/{made['id']}", headers=headers)
    assert kept.json()["base_url"] == desk["base_url"]


HTTP = {"base_url": "https://app.example.test"}
POSTGRES = {"host": "db.example.test", "port": 5432, "database": "app", "user": "watcher", "tls": "verify-full"}
REDIS = {"host": "kv.example.test", "port": 6379, "database": 0, "user": "", "tls": True}
MOVES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "http to another host": ("http", HTTP, "http", {"base_url": "https://evil.example.test"}),
    "http without tls": ("http", HTTP, "http", {"base_url": "http://app.example.test"}),
    "http to another path": ("http", HTTP, "http", {"base_url": "https://app.example.test/echo"}),
    "postgres to another host": ("postgres", POSTGRES, "postgres", POSTGRES | {"host": "evil.example.test"}),
    "postgres to another port": ("postgres", POSTGRES, "postgres", POSTGRES | {"port": 6543}),
    "postgres without tls": ("postgres", POSTGRES, "postgres", POSTGRES | {"tls": "disable"}),
    "redis to another host": ("redis", REDIS, "redis", REDIS | {"host": "evil.example.test"}),
    "redis without tls": ("redis", REDIS, "redis", REDIS | {"tls": False}),
    "another kind": ("postgres", POSTGRES, "http", {"base_url": "https://db.example.test:5432"}),
}


@pytest.mark.attack("D07")
@pytest.mark.parametrize("move", MOVES)
async def test_a_target_that_is_moved_does_not_take_the_old_secret_along(
    api: httpx.AsyncClient, tokens: Tokens, move: str
) -> None:
    headers = {"authorization": tokens[Role.ENGINEER]}
    kind, connection, new_kind, elsewhere = MOVES[move]
    target = {"name": "t", "kind": kind, "connection": connection, "secret": "k" * 20}
    made = (await api.post("/v1/targets", json=target, headers=headers)).json()
    path = f"/v1/targets/{made['id']}"
    moved = {"name": "t", "kind": new_kind, "connection": elsewhere}
    answer = await api.put(path, json=moved, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "target.connection_invalid")
    assert "the secret has to be given again" in answer.json()["detail"]
    kept = (await api.get(path, headers=headers)).json()
    assert (kept["kind"], kept["connection"]) == (kind, connection)
    # What stays where it is keeps its secret, and who knows one may send it where he likes.
    same = await api.put(path, json=target | {"secret": None, "name": "renamed"}, headers=headers)
    assert (same.status_code, same.json()["has_secret"]) == (200, True)
    assert (await api.put(path, json=moved | {"secret": "n" * 20}, headers=headers)).status_code == 200


@pytest.mark.attack("D07")
async def test_a_target_without_a_secret_may_be_moved(api: httpx.AsyncClient, tokens: Tokens) -> None:
    headers = {"authorization": tokens[Role.ENGINEER]}
    target = {"name": "t", "kind": "http", "connection": HTTP}
    made = (await api.post("/v1/targets", json=target, headers=headers)).json()
    moved = target | {"connection": {"base_url": "https://other.example.test"}}
    assert (await api.put(f"/v1/targets/{made['id']}", json=moved, headers=headers)).status_code == 200
