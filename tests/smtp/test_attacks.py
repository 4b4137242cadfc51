"""What hostile senders do on the wire, against the real listener with the real database."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import TocsinError
from tests.fixtures.wait import wait_until
from tests.smtp.conftest import HEAD, Mailbox, Wire, mail

# Ends that some servers take for one, and a second mail behind them.
SMUGGLED = {
    "lf dot lf": b"\n.\n",
    "lf dot crlf": b"\n.\r\n",
    "cr dot cr": b"\r.\r",
    "cr dot crlf": b"\r.\r\n",
    "crlf dot lf": b"\r\n.\n",
    "crlf dot cr": b"\r\n.\r",
    "crlf nul dot crlf": b"\r\n\x00.\r\n",
    "crlf dot nul crlf": b"\r\n.\x00\r\n",
    "crlf dot space crlf": b"\r\n. \r\n",
    "cr cr lf dot cr cr lf": b"\r\r\n.\r\r\n",
    "lf cr dot lf cr": b"\n\r.\n\r",
}


@pytest.mark.parametrize("name", SMUGGLED)
async def test_a_mail_ends_at_crlf_dot_crlf_and_at_nothing_else(mailbox: Mailbox, name: str) -> None:
    hidden = b"MAIL FROM:<forged@example.com>\r\nRCPT TO:<%b>\r\nDATA\r\n" % mailbox.address.encode()

    def dialogue(wire: Wire) -> list[str]:
        wire.begin(mailbox.address)
        wire.send(HEAD + b"one" + SMUGGLED[name] + hidden + b"Subject: two\r\n\r\nsmuggled\r\n.\r\n")
        return [wire.reply()[:3], wire.say("NOOP")[:3]]

    assert await mailbox.speak(dialogue) == ["250", "250"]
    (stored,) = await mailbox.deliveries()
    assert stored.headers["x-envelope-from"] == "mon@example.com"
    assert b"smuggled" in bytes(stored.body)


async def test_dots_are_unstuffed_and_only_where_a_line_begins(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> str:
        wire.begin(mailbox.address)
        wire.send(HEAD + b"..two\r\n.one\r\na\n..b\r\n...\r\n.\r\n")
        return wire.reply()

    assert (await mailbox.speak(dialogue)).startswith("250")
    (stored,) = await mailbox.deliveries()
    assert bytes(stored.body) == HEAD + b".two\r\none\r\na\n..b\r\n..\r\n"


@pytest.mark.parametrize("again", ["HELO test", "EHLO test", "RSET"])
async def test_a_new_beginning_forgets_the_recipients(mailbox: Mailbox, again: str) -> None:
    def dialogue(wire: Wire) -> str:
        wire.say("EHLO test")
        wire.say("MAIL FROM:<mon@example.com>")
        assert wire.say(f"RCPT TO:<{mailbox.address}>").startswith("250")
        assert wire.say(again).startswith("250")
        return wire.say("DATA")

    assert (await mailbox.speak(dialogue)).startswith("503")


async def test_a_mail_broken_off_leaves_nothing(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> None:
        wire.begin(mailbox.address)
        wire.send(HEAD + b"half")

    await mailbox.speak(dialogue)
    await wait_until(lambda: not mailbox.listener.gate.inside, what="the connection is gone")
    assert await mailbox.deliveries() == []


ODD_PATHS = {
    "no brackets": "RCPT TO:{address}",
    "two": "RCPT TO:<{address}> <{address}>",
    "line end": "RCPT TO:<{address}\r>",
    "nul": "RCPT TO:<{address}\x00>",
    "quoted": 'RCPT TO:<"{address}"@x.example>',
    "two ats": "RCPT TO:<{address}@x.example>",
    "comment": "RCPT TO:<({address})>",
    "parameter": "RCPT TO:<{address}> NOTIFY=NEVER",
    "open": "RCPT TO:<{address}",
    "parentheses": "RCPT TO:<" + "(" * 300 + ">",
}


@pytest.mark.parametrize("name", ODD_PATHS)
async def test_an_odd_path_is_refused_and_nothing_breaks(mailbox: Mailbox, name: str) -> None:
    def dialogue(wire: Wire) -> list[str]:
        wire.say("EHLO test")
        wire.say("MAIL FROM:<a@example.com>")
        return [wire.say(ODD_PATHS[name].format(address=mailbox.address)), wire.say("NOOP")]

    refused, after = await mailbox.speak(dialogue)
    assert refused.startswith("5")
    assert not refused.startswith("500 Error: (")
    assert after.startswith("250")


async def test_a_source_route_is_dropped(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> str:
        wire.say("EHLO test")
        wire.say("MAIL FROM:<a@example.com>")
        return wire.say(f"RCPT TO:<@relay.example,@b.example:{mailbox.address}>")

    assert (await mailbox.speak(dialogue)).startswith("250")


@pytest.mark.parametrize("command", ["VRFY {address}", "EXPN {address}", "AUTH PLAIN AGEAYg==", "TURN", "ETRN x"])
async def test_nothing_else_is_told_or_done(mailbox: Mailbox, command: str) -> None:
    def dialogue(wire: Wire) -> list[str]:
        wire.say("EHLO test")
        return [wire.say(command.format(address=address)) for address in (mailbox.address, "nobody@x.example")]

    known, unknown = await mailbox.speak(dialogue)
    assert known == unknown
    assert known[0] in "25"


async def test_what_follows_a_refused_dialogue_is_no_mail(mailbox: Mailbox) -> None:
    """A browser or a program made to send its request here (cross-protocol) reaches nothing."""

    def dialogue(wire: Wire) -> bytes:
        wire.send(
            b"POST / HTTP/1.1\r\nHost: mx\r\nContent-Type: text/plain\r\n\r\n"
            + b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<nobody@x.example>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n" * 3
        )
        return wire.until_closed()

    said = await mailbox.speak(dialogue)
    assert b"354" not in said
    assert await mailbox.deliveries() == []


async def test_a_refused_mail_says_no_more_than_its_kind(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> Any:
        raise TocsinError("postgresql://tocsin_app:hunter2@db/tocsin")

    monkeypatch.setattr(type(mailbox.listener.door), "take", fail)

    def dialogue(wire: Wire) -> str:
        wire.begin(mailbox.address)
        wire.send(mail().as_bytes().replace(b"\n", b"\r\n") + b".\r\n")
        return wire.reply()

    assert await mailbox.speak(dialogue) == "451 4.3.0 the mail was not taken, try again later"
