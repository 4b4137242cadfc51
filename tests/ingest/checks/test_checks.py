"""Checks: asked on time, an alert after so many wrong answers, its end after a right one."""

from __future__ import annotations

import asyncio
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text

from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.checks.service import Answered, conclude
from app.ingest.service import delete_source
from app.net.outbound import OutboundHttp, OutboundResponse
from tests.factories.ingest import ACTOR
from tests.fixtures.jobs import run_jobs
from tests.ingest.checks.conftest import Checked


async def test_a_right_answer_raises_nothing_and_the_next_question_follows(checked: Checked) -> None:
    await checked.make(interval_s=60)
    await run_jobs(checked.resources)
    assert await checked.state() == ("up", 0, "")
    assert [heard.target for heard in checked.service.peer.heard] == ["/health?key=s3cret"]
    assert await checked.waiting() == [60]
    assert await checked.alerts() == []


async def test_wrong_answers_in_a_row_open_an_alert_and_a_right_one_ends_it(checked: Checked) -> None:
    await checked.make(fails_after=3, severity="P0")
    checked.service.status = "503 Service Unavailable"
    for failures in (1, 2):
        await checked.ask()
        assert await checked.state() == ("new", failures, "It answered with the status 503.")
    assert await checked.alerts() == []
    await checked.ask()
    assert (await checked.state())[0] == "down"
    assert await checked.alerts() == [("check:shop", "firing", "P0")]
    await checked.ask()
    assert len(await checked.rows("select id from deliveries")) == 1, "said once, however often it is asked"
    checked.service.status = "204 No Content"
    checked.service.body = b""
    await checked.ask()
    assert await checked.state() == ("up", 0, "")
    assert await checked.alerts() == [("check:shop", "resolved", "P0")]
    assert await checked.rows("select state from incidents") == [("resolved",)]


async def test_one_wrong_answer_among_right_ones_is_no_alert(checked: Checked) -> None:
    await checked.make(fails_after=2)
    for status in ("500 Oh", "200 OK", "500 Oh", "200 OK"):
        checked.service.status = status
        await checked.ask()
    assert await checked.alerts() == []


@pytest.mark.parametrize(
    ("changes", "status", "body", "error"),
    [
        ({"expected_status": 401}, "401 Unauthorized", b"", ""),
        ({"expected_status": 200}, "204 No Content", b"", "It answered with the status 204 instead of 200."),
        ({"expected_text": "well"}, "200 OK", b"all is well", ""),
        ({"expected_text": "well"}, "200 OK", b"closed", "Its answer does not hold the text that is expected."),
        ({}, "302 Found", b"", "It answered with the status 302."),
        ({}, "200 OK", b"x" * 1_100_000, "The answer to the outgoing call is too large"),
    ],
)
async def test_what_is_right(
    checked: Checked, changes: dict[str, object], status: str, body: bytes, error: str
) -> None:
    checked.service.status, checked.service.body, checked.service.more = status, body, "location: /elsewhere\r\n"
    await checked.make(fails_after=1, **changes)
    await checked.ask()
    state, _, found = await checked.state()
    assert found.startswith(error) if error else found == ""
    assert state == ("down" if error else "up")
    assert len(checked.service.peer.heard) == 1, "no redirect is followed"


async def test_nobody_listening_is_wrong_too(checked: Checked) -> None:
    await checked.make(fails_after=1, url="http://127.0.0.1:1/")
    await checked.ask()
    state, _, error = await checked.state()
    assert (state, bool(error)) == ("down", True)


async def test_an_address_that_may_not_be_called_is_not(checked: Checked) -> None:
    await checked.make(fails_after=1, url="http://169.254.169.254/latest/meta-data/")
    await checked.ask()
    assert (await checked.state())[2].startswith("This address may not be called")
    (body,) = await checked.rows("select body from deliveries")
    assert orjson.loads(body[0])["check"] == "shop"


async def test_neither_alert_nor_audit_names_what_is_behind_the_question_mark(checked: Checked) -> None:
    checked.service.status = "500 Oh"
    await checked.make(fails_after=1)
    await checked.ask()
    for table in ("alerts", "incidents", "deliveries", "audit_entries", "timeline_entries"):
        rows = await checked.rows(f"select cast(t as text) from {table} t")
        assert rows
        assert not [row for row in rows if "s3cret" in row[0] or b"s3cret".hex() in row[0]], table


async def test_a_paused_check_is_not_asked_and_its_alert_ends(checked: Checked) -> None:
    checked.service.status = "500 Oh"
    check_id = await checked.make(fails_after=1)
    await checked.ask()
    await checked.update(check_id, paused=True)
    assert await checked.alerts() == [("check:shop", "resolved", "P1")]
    await checked.ask()
    assert len(checked.service.peer.heard) == 1
    assert await checked.waiting() == []
    await checked.update(check_id, paused=False)
    await checked.ask()
    assert len(checked.service.peer.heard) == 2
    assert (await checked.state())[0] == "down"


async def test_a_changed_check_has_one_question_at_a_time(checked: Checked) -> None:
    check_id = await checked.make(interval_s=3600)
    await run_jobs(checked.resources)
    for interval_s in (600, 300):
        await checked.update(check_id, interval_s=interval_s)
        await run_jobs(checked.resources)
    await checked.ask()
    assert await checked.waiting() == [300]


async def test_an_answer_to_a_question_that_was_changed_meanwhile_says_nothing(checked: Checked) -> None:
    check_id = await checked.make(fails_after=1)
    await checked.update(check_id, expected_status=500)
    async with tenant_session(checked.resources.get(Database), checked.tenant_id) as session:
        answered = Answered(error="It answered with the status 500.", version=1)
        assert await conclude(session, check_id=check_id, answered=answered, now=checked.now()) is None
    assert await checked.state() == ("new", 0, "")


async def test_while_its_source_takes_nothing_nobody_is_asked(checked: Checked) -> None:
    checked.service.status = "500 Oh"
    await checked.make(fails_after=1)
    await checked.ask()
    await checked.execute("update sources set state = 'paused'")
    await checked.ask()
    assert await checked.alerts() == [("check:shop", "resolved", "P1")]
    assert len(checked.service.peer.heard) == 1
    await checked.execute("update sources set state = 'active'")
    await checked.ask()
    assert (await checked.state())[0] == "down"


async def test_with_its_source_a_check_goes(checked: Checked) -> None:
    checked.service.status = "500 Oh"
    await checked.make(fails_after=1)
    await checked.ask()
    async with tenant_session(checked.resources.get(Database), checked.tenant_id) as session:
        await delete_source(session, source_id=checked.source.source.id, actor=ACTOR, now=checked.now())
    await checked.ask()
    assert await checked.alerts() == [("check:shop", "resolved", "P1")]
    assert await checked.waiting() == []


async def test_a_check_deleted_while_it_is_asked_leaves_nothing_behind(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await checked.make(fails_after=1)

    async def meanwhile(*_args: object, **_more: object) -> OutboundResponse:
        await checked.execute("delete from checks")
        return OutboundResponse(500, {}, b"")

    monkeypatch.setattr(OutboundHttp, "request", meanwhile)
    await checked.ask()
    assert await checked.alerts() == []
    assert await checked.waiting() == []
    assert await checked.rows("select state from jobs where kind = 'ingest.run_check'") == [("succeeded",)]


async def test_two_conclusions_at_once_raise_one_alert(checked: Checked) -> None:
    check_id = await checked.make(fails_after=1)

    async def wrong(number: int, check: UUID = check_id) -> None:
        async with tenant_session(checked.resources.get(Database), checked.tenant_id) as session:
            await session.execute(text("select 1"))
            await conclude(session, check_id=check, answered=Answered(error=f"{number}", version=1), now=checked.now())

    await asyncio.gather(*(wrong(number) for number in range(4)))
    assert await checked.alerts() == [("check:shop", "firing", "P1")]
    assert len(await checked.rows("select id from deliveries")) == 1
