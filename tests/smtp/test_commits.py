"""I1 for mail: no 250 before the commit, and no second delivery where the 250 was lost."""

from __future__ import annotations

import pytest

from app.core.failpoints import armed
from tests.smtp.conftest import Mailbox, Wire

MAIL = b"Message-ID: <1@example.com>\r\nSubject: Disk full\r\n\r\n93 %\r\n"


def send_once(mailbox: Mailbox) -> str:
    wire = Wire(mailbox.listener.port)
    try:
        wire.begin(mailbox.address)
        wire.send(MAIL + b".\r\n")
        return wire.reply()
    finally:
        wire.close()


@pytest.mark.parametrize(
    ("place", "kept"),
    [("ingest.before_insert", 0), ("ingest.after_insert", 0), ("ingest.after_commit", 1)],
)
async def test_what_fails_around_the_commit_is_asked_for_again_and_happens_once(
    mailbox: Mailbox, place: str, kept: int
) -> None:
    with armed({place: "error@once"}):
        failed = await mailbox.speak(lambda _: send_once(mailbox))
    assert failed.startswith("451")
    before = await mailbox.deliveries()
    assert len(before) == kept
    again = await mailbox.speak(lambda _: send_once(mailbox))
    (stored,) = await mailbox.deliveries()
    assert again == f"250 2.6.0 accepted as {stored.id}"
    if before:
        assert stored.id == before[0].id


async def test_a_commit_that_hangs_is_asked_for_again(mailbox: Mailbox) -> None:
    with armed({"ingest.before_insert": "sleep:1.5s@once"}):
        assert (await mailbox.speak(lambda _: send_once(mailbox))).startswith("451")
    assert (await mailbox.speak(lambda _: send_once(mailbox))).startswith("250")
    assert len(await mailbox.deliveries()) == 1
