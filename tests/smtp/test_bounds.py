"""Mails, lines, recipients, commands, connections and patience: each has an end."""

from __future__ import annotations

import time

import pytest

from app.ingest.bodies import Arriving
from app.smtp.gate import Gate
from app.smtp.reading import MailReader
from tests.fixtures.wait import wait_until
from tests.smtp.conftest import HEAD, Mailbox, Wire


@pytest.mark.parametrize("smtp_settings", [{"max_message_bytes": 65_536}], ids=["64 KiB"])
async def test_a_mail_over_the_size_is_refused_announced_or_not(mailbox: Mailbox) -> None:
    line = b"x" * 998 + b"\r\n"

    def dialogue(wire: Wire) -> list[str]:
        wire.say("EHLO test")
        replies = [wire.say("MAIL FROM:<a@example.com> SIZE=65537")]
        wire.begin(mailbox.address)
        wire.send(HEAD + line * 66 + b".\r\n")
        replies.append(wire.reply())
        wire.begin(mailbox.address)
        wire.send(HEAD + line * 65 + b".\r\n")
        return [*replies, wire.reply()]

    announced, streamed, small = await mailbox.speak(dialogue)
    assert announced.startswith("552")
    assert streamed.startswith("552 5.3.4")
    assert small.startswith("250")
    assert len(await mailbox.deliveries()) == 1


async def test_a_line_without_end_is_refused_and_the_dialogue_goes_on(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> list[str]:
        wire.begin(mailbox.address)
        wire.send(HEAD + b"x" * 300_000 + b"\r\n.\r\n")
        replies = [wire.reply()]
        wire.send(b"NOOP " + b"y" * 100_000 + b"\r\n")
        replies.append(wire.reply())
        wire.begin(mailbox.address)
        wire.send(HEAD + b"short\r\n.\r\n")
        return [*replies, wire.reply()]

    long_line, long_command, taken = await mailbox.speak(dialogue)
    assert long_line.startswith("500 5.5.2")
    assert long_command.startswith("500")
    assert taken.startswith("250")


async def test_a_line_that_never_ends_is_cut_off_and_holds_no_memory(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> tuple[str, int]:
        wire.begin(mailbox.address)
        sent = 0
        try:
            while sent < 40_000_000:
                wire.send(b"x" * 1_000_000)
                sent += 1_000_000
        except OSError:
            pass
        return wire.until_closed().decode(), sent

    said, sent = await mailbox.speak(dialogue)
    assert sent > 1_000_000
    assert said.startswith("500 5.5.2") or said == ""  # a reset may swallow it
    assert await mailbox.deliveries() == []


async def test_no_room_for_what_arrives_is_a_reason_to_come_again(mailbox: Mailbox) -> None:
    mailbox.listener.reader = MailReader(max_bytes=100_000, arriving=Arriving(10_000))

    def dialogue(wire: Wire) -> list[str]:
        wire.begin(mailbox.address)
        wire.send(HEAD + b"x\r\n" * 4000 + b".\r\n")
        replies = [wire.reply()]
        wire.begin(mailbox.address)
        wire.send(HEAD + b"x\r\n.\r\n")
        return [*replies, wire.reply()]

    crowded, taken = await mailbox.speak(dialogue)
    assert crowded.startswith("452 4.3.1")
    assert taken.startswith("250")


@pytest.mark.parametrize("smtp_settings", [{"max_recipients": 2}], ids=["two"])
async def test_recipients_are_bounded(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> list[str]:
        wire.say("EHLO test")
        wire.say("MAIL FROM:<a@example.com>")
        return [wire.say(f"RCPT TO:<{mailbox.address}>")[:9] for _ in range(3)]

    assert await mailbox.speak(dialogue) == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]


async def test_commands_are_bounded(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> bytes:
        wire.send(b"NOOP\r\n" * 50)
        return wire.until_closed()

    said = await mailbox.speak(dialogue)
    assert said.count(b"250") == 20
    assert b"421" in said


@pytest.mark.parametrize("smtp_settings", [{"max_connections": 3, "max_connections_per_peer": 2}], ids=["two a peer"])
async def test_connections_are_bounded_and_their_places_given_back(mailbox: Mailbox) -> None:
    port = mailbox.listener.port

    def dialogue(first: Wire) -> list[str]:
        second, third = Wire(port), Wire(port)
        third.close()
        second.close()
        return [first.greeting, second.greeting, third.greeting]

    greetings = await mailbox.speak(dialogue)
    assert [greeting[:3] for greeting in greetings] == ["220", "220", "421"]
    await wait_until(lambda: not mailbox.listener.gate.inside, what="all places are free")
    assert (await mailbox.speak(lambda wire: wire.greeting)).startswith("220")


def test_whoever_has_a_network_of_addresses_is_one_peer() -> None:
    """An IPv6 host has at least 2^64 addresses of its own; IPv4 inside of IPv6 is the address that it is."""
    gate = Gate(limit=100, limit_of_peer=1)
    assert gate.enter("1", "2001:db8:1:2::1") is None
    assert gate.enter("2", "2001:db8:1:2:ffff::7") is not None
    assert gate.enter("3", "2001:db8:1:3::1") is None
    assert gate.enter("4", "::ffff:192.0.2.1") is None
    assert gate.enter("5", "::ffff:192.0.2.2") is None
    assert gate.enter("6", "192.0.2.1") is not None
    assert gate.enter("7", "fe80::1%eth0") is None
    gate.leave("1", "2001:db8:1:2::1")
    assert gate.enter("8", "2001:db8:1:2::9") is None


@pytest.mark.parametrize("smtp_settings", [{"command_timeout_s": 0.3}], ids=["0.3 s"])
async def test_who_says_nothing_is_told_and_cut_off(mailbox: Mailbox) -> None:
    assert (await mailbox.speak(lambda wire: wire.until_closed())).startswith(b"421 4.4.2")


@pytest.mark.parametrize("smtp_settings", [{"data_timeout_s": 0.3}], ids=["0.3 s"])
async def test_a_mail_that_drips_is_cut_off(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> bytes:
        wire.begin(mailbox.address)
        wire.send(HEAD + b"slow")
        return wire.until_closed()

    assert (await mailbox.speak(dialogue)).startswith(b"421 4.4.2")
    assert await mailbox.deliveries() == []


@pytest.mark.parametrize("smtp_settings", [{"session_timeout_s": 0.3}], ids=["0.3 s"])
async def test_a_connection_does_not_last_for_ever(mailbox: Mailbox) -> None:
    def dialogue(wire: Wire) -> bytes:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and wire.say("RSET").startswith("250"):
            pass
        return wire.until_closed()

    started = time.monotonic()
    await mailbox.speak(dialogue)
    assert time.monotonic() - started < 8
