"""The limits of a tenant and a source hold for mail too, and its processes are not counted among those of HTTP."""

from __future__ import annotations

import smtplib
from typing import Any

import pytest

from app.core.resources import Resources
from app.ingest.known_sources import KnownSource
from app.ingest.rules.limits import Limited
from app.kv.peers import Peers
from app.smtp.measures import RECIPIENTS
from tests.smtp.conftest import Mailbox, mail


async def test_a_source_over_its_limit_asks_mail_to_come_again(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[Any, int]] = []
    admission = mailbox.listener.admission
    monkeypatch.setattr(admission, "took", lambda source, size: taken.append((source.source_id, size)))
    await mailbox.send(mail())
    assert taken == [(mailbox.created.source.id, len((await mailbox.deliveries())[0].body))]

    def full(source: KnownSource) -> Limited:
        assert source.source_id == mailbox.created.source.id
        return Limited.RATE

    monkeypatch.setattr(mailbox.listener.recipients, "_limited", full)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await mailbox.send(mail("another"))
    assert [reply[0] for reply in refused.value.recipients.values()] == [452]


async def test_a_tenant_whose_mails_wait_for_their_commits_is_asked_to_come_again_and_counted(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = RECIPIENTS.labels("crowded")._value.get()
    monkeypatch.setattr(mailbox.listener.door, "has_room", lambda tenant_id: False)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await mailbox.send(mail())
    assert [reply[0] for reply in refused.value.recipients.values()] == [452]
    assert RECIPIENTS.labels("crowded")._value.get() == before + 1


async def test_a_listener_is_no_peer_of_the_http_processes(resources: Resources) -> None:
    http, other = Peers.of(resources), Peers.of(resources)
    before = await http.count()
    await Peers.of(resources, kind="mail").count()
    assert await http.count() == before
    assert await other.count() == before + 1
