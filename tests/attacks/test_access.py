"""C12, C13, C17, C19 to C22, C24: who is let in, as what, and what a stranger is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.auth.rules import ALPHABET, Role, generate_token
from app.core.clock import FakeClock
from app.core.ids import new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.main import Application, create_app
from app.settings import Settings
from tests.auth.test_openapi_roles import filled, operations
from tests.fixtures.database import PostgresServer
from tests.fixtures.process import make_settings

Tokens = dict[Role, str]
EVIL = "https://evil.test"


async def me(api: httpx.AsyncClient, *values: str | bytes) -> httpx.Response:
    raw = [(b"authorization", value if isinstance(value, bytes) else value.encode("latin-1")) for value in values]
    return await api.get("/v1/me", headers=raw)


async def assert_refused(api: httpx.AsyncClient, *values: str | bytes) -> None:
    answer, nobodys = await me(api, *values), await api.get("/v1/me")
    assert answer.status_code == 401, f"{values}: {answer.text}"
    ours, theirs = answer.json(), nobodys.json()
    assert {**ours, "request_id": ""} == {**theirs, "request_id": ""}, "refusals differ"


def respelled(token: str) -> list[str]:
    """The same token as a tolerant reader might still take it."""
    other = ALPHABET[(ALPHABET.index(token[-1]) + 1) % len(ALPHABET)]
    return [
        token[:-1],
        token + "0",
        token[:-1] + other,
        token.upper(),
        token.swapcase(),
        token + "=",
        token + " x",
        token.replace("_", "-", 1),
        token.replace("tcs_", "tco_"),
        token.removeprefix("tcs_"),
        token + "\x00",
        f"%74{token[1:]}",
    ]


@pytest.mark.attack("C12")
async def test_a_token_that_is_cut_respelled_or_made_up(api: httpx.AsyncClient, tokens: Tokens) -> None:
    right = tokens[Role.ADMIN].removeprefix("Bearer ")
    assert (await me(api, f"Bearer {right}")).status_code == 200
    for bent in (*respelled(right), generate_token(), "tcs_", "null", "undefined"):
        await assert_refused(api, f"Bearer {bent}")


@pytest.mark.attack("C12")
async def test_a_token_that_is_revoked_or_expired(
    api: httpx.AsyncClient, tokens: Tokens, clock: FakeClock, application: Application
) -> None:
    admin = {"authorization": tokens[Role.ADMIN]}
    ends = (clock.now() + timedelta(minutes=1)).isoformat()
    short = (
        await api.post("/v1/tokens", json={"name": "s", "role": "viewer", "expires_at": ends}, headers=admin)
    ).json()
    gone = (await api.post("/v1/tokens", json={"name": "g", "role": "admin"}, headers=admin)).json()
    assert (await api.post(f"/v1/tokens/{gone['id']}/revoke", headers=admin)).status_code == 200
    await assert_refused(api, f"Bearer {gone['token']}")
    assert (await me(api, f"Bearer {short['token']}")).status_code == 200
    clock.advance(timedelta(minutes=1))
    await assert_refused(api, f"Bearer {short['token']}")


@pytest.mark.attack("C13")
async def test_credentials_in_a_form_that_is_none(api: httpx.AsyncClient, tokens: Tokens) -> None:
    """Each is a failed key, never anybody."""
    right = tokens[Role.ADMIN]
    token = right.removeprefix("Bearer ")
    for values in (
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Bearer  " + token],
        ["Bearer\t" + token],
        ["ApiKey"],
        ["ApiKey " + token],
        ["Basic " + token],
        [token],
        [right, right],
        [right, ""],
        ["", right],
        [right + ", " + right],
        [b"Bearer \xff\xfe"],
        ["Bearer " + "a" * 20_000],
    ):
        await assert_refused(api, *values)
    # The scheme's name has no case (RFC 9110, 11.1); everything else about it is strict.
    assert (await me(api, f"bearer {token}")).status_code == 200


@pytest.mark.attack("C13")
async def test_credentials_in_a_place_that_is_none(api: httpx.AsyncClient, tokens: Tokens) -> None:
    token = tokens[Role.ADMIN].removeprefix("Bearer ")
    for headers, query in (
        ({"x-api-key": token}, {}),
        ({"cookie": f"token={token}; session={token}; authorization=Bearer {token}"}, {}),
        ({"proxy-authorization": f"Bearer {token}"}, {}),
        ({}, {"token": token, "access_token": token, "api_key": token}),
    ):
        assert (await api.get("/v1/me", headers=headers, params=query)).status_code == 401


@pytest.mark.attack("C17")
async def test_a_viewer_writes_nothing_and_no_role_does_more_than_it_says(
    application: Application, api: httpx.AsyncClient, tokens: Tokens
) -> None:
    harmless = {"POST /v1/runbooks/validate", "POST /v1/feedback"}
    refused: dict[Role, set[str]] = {role: set() for role in Role}
    for method, path in operations(application):
        if path.startswith("/v1/admin/tenants"):
            continue
        for role in Role:
            answer = await api.request(method, filled(path), json={}, headers={"authorization": tokens[role]})
            if answer.status_code == 403:
                assert answer.json()["code"] == "auth.role_too_low"
                refused[role].add(f"{method} {path}")
    writes = {f"{method} {path}" for method, path in operations(application) if method != "GET"} - harmless
    writes = {write for write in writes if "/v1/admin/tenants" not in write}
    assert refused[Role.VIEWER] >= writes
    assert refused[Role.VIEWER] > refused[Role.RESPONDER] > refused[Role.ENGINEER] > refused[Role.ADMIN] == set()


@pytest.mark.attack("C19")
@pytest.mark.parametrize("origin", ["null", EVIL, "http://tocsin.test.evil.test", "http://tocsin.test"])
async def test_no_origin_is_let_read_with_credentials(api: httpx.AsyncClient, tokens: Tokens, origin: str) -> None:
    headers = {"origin": origin, "access-control-request-method": "POST", "authorization": tokens[Role.ADMIN]}
    for method, path in (("OPTIONS", "/v1/sources"), ("GET", "/v1/sources"), ("OPTIONS", "/in/x"), ("GET", "/healthz")):
        answer = await api.request(method, path, headers=headers)
        assert [name for name in answer.headers if name.startswith("access-control-")] == []


@pytest.mark.attack("C20")
async def test_a_browser_on_another_page_can_change_nothing(
    application: Application, api: httpx.AsyncClient, tokens: Tokens
) -> None:
    """There are no cookies to ride on, and a form or a text is not read as JSON."""
    for method, path in operations(application):
        answer = await api.request(method, filled(path), json={}, headers={"cookie": "session=x", "origin": EVIL})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
    body = b'{"title":"t","body":"b"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        headers = {"authorization": tokens[Role.ADMIN], "content-type": kind, "origin": EVIL}
        answer = await api.post("/v1/knowledge", content=body, headers=headers)
        assert answer.status_code in (415, 422), f"{kind!r}: {answer.status_code}"
    listed = await api.get("/v1/knowledge", headers={"authorization": tokens[Role.ADMIN]})
    assert listed.json()["items"] == []


@pytest.fixture
def production(postgres: PostgresServer, database_name: str, redis_url: str, resources: Resources) -> Application:
    """The application as it starts in production."""
    made = make_settings(postgres, database_name, redis_url)
    public = made.http.model_copy(update={"public_url": "https://tocsin.example"})
    closed = made.security.model_copy(update={"egress_allow": []})
    changes = {"environment": "production", "http": public, "security": closed}
    return create_app(made.model_copy(update=changes), resources)


@pytest.mark.attack("C21")
async def test_what_a_stranger_may_look_at_says_little(production: Application) -> None:
    transport = httpx.ASGITransport(app=production, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://tocsin.example") as client:
        for path in ("/docs", "/redoc", "/openapi.json", "/metrics", "/debug", "/debug/vars", "/.env", "/.git/config"):
            assert (await client.get(path)).status_code == 404, path
        for path in ("/healthz", "/healthz?verbose=1", "/readyz", "/health", "/health/db", "/health/queue"):
            shown = (await client.get(path)).text
            for word in ("postgres", "127.0.0.1", "password", "tocsin_app", "t-", "redis://", "version()", "traceback"):
                assert word not in shown.lower(), f"{path} says {word}"
        answer = await client.get("/healthz")
    assert "server" not in answer.headers
    assert answer.headers["strict-transport-security"]


@pytest.mark.attack("C22")
async def test_a_failure_of_ours_says_nothing_of_our_insides(
    application: Application, api: httpx.AsyncClient, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.ingest import service

    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("select * from api_tokens where password = 'hunter2'")

    monkeypatch.setattr(service, "list_sources", broken)
    with capture_logs() as logs:
        answer = await api.get("/v1/sources", headers={"authorization": tokens[Role.ADMIN]})
    assert "request.crashed" in {line["event"] for line in logs}
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text
    assert "select" not in answer.text.lower()
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.attack("C22")
async def test_a_database_that_is_gone_is_a_503_without_its_name(
    postgres: PostgresServer, scratch_name: str, scratch_resources: Resources, scratch_database: Database
) -> None:
    application = create_app(scratch_resources.get(Settings), scratch_resources)
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as client:
        await postgres.drop(scratch_name)
        for path in ("/v1/me", "/health", "/readyz"):
            answer = await client.get(path, headers={"authorization": f"Bearer {generate_token()}"})
            assert answer.status_code == 503, f"{path}: {answer.text}"
            for word in (scratch_name, "asyncpg", "sqlalchemy", "tocsin_system", "traceback"):
                assert word not in answer.text.lower(), f"{path} says {word}"
        sent = await client.post("/in/" + "a" * 26, content=b"{}")
        assert (sent.status_code, sent.headers["retry-after"]) == (503, "1")


@pytest.mark.attack("C23")
@pytest.mark.parametrize("path", ["..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "..\\..\\", "%00", "a%2f..%2fb", "%252e%252e"])
async def test_a_path_that_climbs_is_no_id(api: httpx.AsyncClient, tokens: Tokens, path: str) -> None:
    for prefix in ("/v1/jobs/", "/v1/runs/", "/v1/receipts/", "/v1/runbooks/", "/v1/deliveries/"):
        url = httpx.URL("http://tocsin.test").copy_with(raw_path=(prefix + path).replace("\\", "%5c").encode())
        answer = await api.get(url, headers={"authorization": tokens[Role.ADMIN]})
        assert answer.status_code in (404, 422), f"{prefix}{path}: {answer.status_code}"
        assert "root:" not in answer.text


@pytest.mark.attack("C24")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
async def test_starting_and_approving_without_credentials(api: httpx.AsyncClient, method: str) -> None:
    body = {"step": "s", "plan_digest": "0" * 64, "decision": "approve"}
    for path in (
        "/v1/runs",
        f"/v1/runs/{new_id()}/approve",
        f"/v1/runs/{new_id()}/cancel",
        "/v1/admin/pause-processing",
    ):
        answer = await api.request(method, path, json=body)
        assert answer.status_code in (401, 405), f"{method} {path}: {answer.status_code}"
        assert method != "POST" or answer.status_code == 401
