"""The real listener with the real database: what is answered 250 is on disk, what is not proved is not taken."""

from __future__ import annotations

import asyncio
import logging
import smtplib
from typing import Any

import pytest
from sqlalchemy import text

from app.core.errors import Unavailable
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.rules.mail import address_of
from app.ingest.schemas import SourceState
from app.ingest.service import update_source
from app.smtp.listener import Listener
from app.smtp.taking import MailDoor
from tests.factories.ingest import ACTOR, EPOCH, committed_source
from tests.smtp.conftest import Mailbox, Wire, mail

BODY = b"Subject: Disk full\r\n\r\n93 %\r\n"


async def test_a_mail_that_is_answered_250_is_a_delivery_with_its_job(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> list[str]:
        replies = [wire.begin(mailbox.address)]
        wire.send(BODY + b".\r\n")
        return [*replies, wire.reply(), wire.say("QUIT")]

    ready, taken, bye = await mailbox.speak(dialogue)
    (stored,) = await mailbox.deliveries()
    assert ready.startswith("354")
    assert taken == f"250 2.6.0 accepted as {stored.id}"
    assert bye.startswith("221")
    assert bytes(stored.body) == BODY
    assert (stored.state, stored.headers["x-envelope-from"]) == ("accepted", "mon@example.com")
    async with tenant_session(mailbox.resources.get(Database), mailbox.tenant_id) as session:
        jobs = await session.execute(text("select count(*) from jobs where kind = 'ingest.drain_intake'"))
    assert jobs.scalar_one() == 1


async def test_the_secret_is_in_no_stored_byte_and_no_log_line(
    mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mail.log").disabled = False
    await mailbox.listener.stop()
    again = Listener(mailbox.resources)
    await again.start()
    mailbox.listener = again
    with caplog.at_level(logging.DEBUG):
        await mailbox.send(mail(To=mailbox.address, Message_ID="<1@example.com>"))
    await again.stop()
    (stored,) = await mailbox.deliveries()
    secret = str(mailbox.created.secret)
    assert b"[secret]@alerts.example.com" in bytes(stored.body)
    assert secret not in str(stored)
    assert secret not in caplog.text


@pytest.mark.parametrize("separator", ["+", "-", ".", "_", "="])
async def test_any_separator_and_any_capitals_find_the_source(mailbox: Mailbox, separator: str) -> None:
    address = f"{mailbox.created.source.public_id}{separator}{mailbox.created.secret}@any.example"
    await mailbox.send(mail(), address)
    await mailbox.send(mail("other"), address.upper())
    assert len(await mailbox.deliveries()) == 2


async def test_an_unknown_source_a_wrong_secret_and_another_kind_are_answered_alike(
    mailbox: Mailbox, resources: Resources, tenant_id: TenantId
) -> None:
    other_kind = await committed_source(resources, tenant_id, kind="generic", profile="url_secret")
    wrong = [
        address_of("0" * 26, str(mailbox.created.secret), domain="x.example"),
        address_of(mailbox.created.source.public_id, "k3v9" * 7 + "k3v8", domain="x.example"),
        address_of(other_kind.source.public_id, str(other_kind.secret), domain="x.example"),
        "postmaster@x.example",
    ]

    def dialogue(wire: Wire) -> list[str]:
        wire.say("EHLO test")
        wire.say("MAIL FROM:<a@example.com>")
        return [wire.say(f"RCPT TO:<{address}>") for address in wrong] + [wire.say("DATA")]

    *replies, data = await mailbox.speak(dialogue)
    assert set(replies) == {"550 5.1.1 no such recipient"}
    assert data.startswith("503")
    assert await mailbox.deliveries() == []


@pytest.mark.parametrize("smtp_settings", [{"max_errors": 3}], ids=["three"])
async def test_who_tries_addresses_out_is_cut_off(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> bytes:
        wire.say("EHLO test")
        wire.say("MAIL FROM:<a@example.com>")
        for _ in range(3):
            wire.say("RCPT TO:<nobody@x.example>")
        return wire.until_closed()

    assert (await mailbox.speak(dialogue)).startswith(b"421 4.7.0")


async def test_the_same_mail_again_is_the_first_ones_receipt(mailbox: Mailbox) -> None:
    first = b"Received: by a; 10:00\r\nMessage-ID: <7@example.com>\r\n" + BODY
    retry = b"Received: by b; 10:05\r\nMessage-ID: <7@example.com>\r\n" + BODY
    other = b"Message-ID: <7@example.com>\r\n" + BODY.replace(b"93", b"94")

    def dialogue(wire: Wire) -> list[str]:
        replies = []
        for content in (first, retry, other):
            wire.begin(mailbox.address)
            wire.send(content + b".\r\n")
            replies.append(wire.reply())
        return replies

    replies = await mailbox.speak(dialogue)
    assert replies[0] == replies[1] != replies[2]
    stored = await mailbox.deliveries()
    assert [entry.external_id for entry in stored] == ["<7@example.com>"] * 2


async def test_a_sender_that_has_one_message_id_for_all_its_mails_loses_none(mailbox: Mailbox) -> None:
    """What differs may stand in the subject alone: that a host is up again, for one."""
    for subject in ("Host DOWN", "Host UP"):
        await mailbox.send(mail(subject, "", Message_ID="<1@ups.example.com>", Date="Mon, 7 Jan 2030 12:00:00 +0000"))
    await mailbox.send(mail("Host UP", "", Message_ID="<1@ups.example.com>", Date="Mon, 7 Jan 2030 13:00:00 +0000"))
    assert len(await mailbox.deliveries()) == 3


async def test_one_mail_for_two_sources_is_a_delivery_of_each(
    mailbox: Mailbox, resources: Resources, other_tenant_id: TenantId
) -> None:
    second = await committed_source(resources, other_tenant_id, kind="email", secret="w8x2" * 8)
    to_second = address_of(second.source.public_id, str(second.secret), domain="x.example")
    await mailbox.send(mail(), mailbox.address, to_second, mailbox.address)
    others = Mailbox(mailbox.listener, second, resources, other_tenant_id)
    assert [len(await box.deliveries()) for box in (mailbox, others)] == [1, 1]


async def test_what_cannot_be_stored_is_to_come_again(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> Any:
        raise Unavailable("the database is away", retry_after_s=1)

    with monkeypatch.context() as patched:
        patched.setattr(MailDoor, "take", fail)
        with pytest.raises(smtplib.SMTPDataError) as refused:
            await mailbox.send(mail())
    assert refused.value.smtp_code == 451
    await mailbox.send(mail())
    assert len(await mailbox.deliveries()) == 1


async def test_a_fault_nobody_thought_of_is_no_lost_mail_either(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(MailDoor, "take", fail)
    with pytest.raises(smtplib.SMTPDataError) as refused:
        await mailbox.send(mail())
    assert refused.value.smtp_code == 451
    assert b"ZeroDivision" not in refused.value.smtp_error


@pytest.mark.parametrize(("state", "code"), [(SourceState.PAUSED, 450), (SourceState.DELETED, 550)])
async def test_a_paused_source_asks_to_come_back_and_a_removed_one_to_stop(
    mailbox: Mailbox, state: SourceState, code: int
) -> None:
    async with tenant_session(mailbox.resources.get(Database), mailbox.tenant_id) as session:
        if state is SourceState.PAUSED:
            changes = {"state": state}
            await update_source(session, source_id=mailbox.created.source.id, changes=changes, actor=ACTOR, now=EPOCH)
        else:
            await session.execute(text("update sources set state = 'deleted'"))
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await mailbox.send(mail())
    assert [reply[0] for reply in refused.value.recipients.values()] == [code]


async def test_what_is_announced_is_there_and_nothing_to_log_in_to(mailbox: Mailbox) -> None:
    def run(wire: Wire) -> tuple[str, list[str]]:
        wire.send(b"EHLO test\r\n")
        lines = []
        while True:
            lines.append(wire._file.readline().decode().strip())
            if lines[-1][3] == " ":
                break
        return wire.greeting, lines

    greeting, lines = await mailbox.speak(run)
    assert greeting == "220 mx.tocsin.test ESMTP"
    offered = {line[4:].split(" ")[0] for line in lines[1:]}
    assert offered == {"SIZE", "8BITMIME", "SMTPUTF8", "PIPELINING", "HELP"}
    assert "250-SIZE 5242880" in lines


async def test_commands_in_one_packet_are_answered_one_by_one(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> list[str]:
        wire.say("EHLO test")
        wire.send(
            b"MAIL FROM:<>\r\nRCPT TO:<nobody@x.example>\r\nRCPT TO:<%b>\r\nDATA\r\n" % mailbox.address.encode()
            + BODY
            + b".\r\nMAIL FROM:<a@b>\r\nQUIT\r\n"
        )
        return [wire.reply()[:3] for _ in range(7)]

    assert await mailbox.speak(dialogue) == ["250", "550", "250", "354", "250", "250", "221"]
    (stored,) = await mailbox.deliveries()
    assert stored.headers["x-envelope-from"] == ""


async def test_a_stopping_listener_finishes_the_mail_it_is_reading(mailbox: Mailbox) -> None:

    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Future[None]] = []

    def dialogue(wire: Wire) -> tuple[str, bytes]:
        idle = Wire(mailbox.listener.port)
        wire.begin(mailbox.address)
        stopping.append(asyncio.run_coroutine_threadsafe(mailbox.listener.stop(), loop))  # type: ignore[arg-type]
        closed = idle.until_closed()
        idle.close()
        wire.send(BODY + b".\r\n")
        return wire.reply(), closed

    taken, closed = await mailbox.speak(dialogue)
    assert taken.startswith("250 2.6.0")
    assert closed.startswith(b"421")
    await asyncio.wrap_future(stopping[0])
    assert len(await mailbox.deliveries()) == 1
    with pytest.raises(ConnectionRefusedError):
        Wire(mailbox.listener.port)


async def test_an_external_id_and_a_sender_hold_nothing_that_a_database_refuses(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> str:
        wire.begin(mailbox.address, sender="ä@b.example")
        wire.send(b"Message-ID: <\x00\xff\r\n\tx>\r\nSubject: \xff\xfe\x00\r\n\r\n\x00\xff\r\n.\r\n")
        return wire.reply()

    assert (await mailbox.speak(dialogue)).startswith("250")
    (stored,) = await mailbox.deliveries()
    assert stored.headers["x-envelope-from"] == "ä@b.example"
