"""D09: a target as a way to read what stands behind our firewall."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.embedded.valkey import EmbeddedValkey
from app.remediation.rules.states import StepState
from app.remediation.schemas import RunDetail
from tests.attacks.consent import rows
from tests.factories.runbooks import make_looking_runbook
from tests.fixtures.servicedesk import serve
from tests.remediation.conftest import Ward, ward
from tests.remediation.fronts import saying
from tests.remediation.targets import WatchedPostgres, watched_postgres

__all__ = ["ward", "watched_postgres"]

SECRET = "s3cret"
BANNERS = {
    "ssh": b"SSH-2.0-OpenSSH_9.6 s3cret\r\n",
    "smtp": b"220 s3cret.internal ESMTP Postfix\r\n",
    "http": b"HTTP/1.1 400 s3cret\r\n\r\n",
    "ftp": b"220-s3cret\r\n220 ready\r\n",
    "number": b":s3cret\r\n",
    "size": b"$s3cret\r\n",
    "error of redis": b"-s3cret is what stands here\r\n",
    "known error of redis": b"-NOPERM s3cret is what stands here\r\n",
    "error of postgres": b"E\x00\x00\x00\x2eSFATAL\x00VFATAL\x00Cs3cre\x00Ms3cret stands here\x00\x00",
    "known error of postgres": b"E\x00\x00\x00\x2eSFATAL\x00VFATAL\x00C42501\x00Ms3cret stands here\x00\x00",
    "odd login of postgres": b"R\x00\x00\x00\x17\x00\x00\x00\x0as3cret-SCRAM\x00\x00",
}
LOOKS: dict[str, tuple[str, str, dict[str, str]]] = {
    "postgres": ("postgres.query", "{query: database_size}", {"user": "u", "tls": "disable"}),
    "postgres with tls": ("postgres.query", "{query: database_size}", {"user": "u", "tls": "require"}),
    "redis": ("redis.info", "{}", {}),
}


RECOVERED = {"postgres": "probe.commits > 1", "redis": "probe.role == 'x'"}
# With TLS the first byte decides, so two lines are enough.
CALLS = [
    (how, line) for how in LOOKS for line in BANNERS if "tls" not in how or line in ("ssh", "known error of postgres")
]


async def look(ward: Ward, how: str, port: int, *, secret: str = "k" * 20) -> RunDetail:
    """A run whose only step looks at what answers there."""
    action, arguments, connection = LOOKS[how]
    kind = how.partition(" ")[0]
    source = make_looking_runbook("look-inside")
    for usual, here in (
        ("kind: http", f"kind: {kind}"),
        ("do: http.probe", f"do: {action}"),
        ("with: {path: /health}", f"with: {arguments}"),
        ("timeout: 5s", "timeout: 1s"),
        ("probe.up", RECOVERED[kind]),
    ):
        source = source.replace(usual, here)
    await ward.add_runbook(source)
    where = {"host": "127.0.0.1", "port": port} | connection
    await ward.add_target("inside", kind=kind, secret=secret, connection=where)
    run_id = await ward.start(runbook="look-inside", targets={"service": "inside"})
    await ward.let_pass(2)
    return await ward.run(run_id)


async def kept_nowhere(ward: Ward, run: RunDetail) -> None:
    assert SECRET not in repr(run)
    for table in ("jobs", "runs", "effects", "run_steps", "audit_entries"):
        assert SECRET not in repr(await rows(ward, f"select to_jsonb(t)::text as t from {table} t")), table


@pytest.mark.attack("D09")
async def test_what_a_called_host_says_is_not_shown(ward: Ward) -> None:
    """Status and size are enough."""

    async def talk(_: Request) -> PlainTextResponse:
        return PlainTextResponse(f"internal {SECRET} page", status_code=403)

    async with serve(Starlette(routes=[Route("/{path:path}", talk, methods=["GET", "POST"])])) as url:
        await ward.add_target("inside", connection={"base_url": url})
        run_id = await ward.start(targets={"service": "inside"})
        await ward.let_pass(3)
        run = await ward.run(run_id)
    assert StepState.DONE in {step.state for step in run.steps}
    await kept_nowhere(ward, run)


@pytest.mark.attack("D09")
@pytest.mark.parametrize(("how", "line"), CALLS)
async def test_what_another_service_says_to_a_client_of_a_database_is_not_shown(
    ward: Ward, how: str, line: str
) -> None:
    async with saying(BANNERS[line]) as port:
        run = await look(ward, how, port)
    failed = [step for step in run.steps if step.error]
    assert failed, run
    await kept_nowhere(ward, run)


@pytest.mark.attack("D09")
@pytest.mark.parametrize(
    ("how", "says"),
    [("postgres", "the password is wrong (SQLSTATE 28P01)"), ("redis", "the password is wrong or missing")],
)
async def test_what_an_operator_needs_is_said(
    ward: Ward, watched_postgres: WatchedPostgres, valkey: EmbeddedValkey, how: str, says: str
) -> None:
    """In our own words; the server's hold the user's name, at other times a statement with its values."""
    port = watched_postgres.port if how == "postgres" else valkey.port
    run = await look(ward, how, port, secret=SECRET)
    assert says in str([step.error for step in run.steps])
    await kept_nowhere(ward, run)
