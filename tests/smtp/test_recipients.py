"""An address that proves nothing costs the same work, whatever is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.ids import TenantId
from app.core.resources import Resources
from app.ingest.rules.mail import address_of
from app.smtp import recipients as module
from app.smtp.recipients import Refusal
from tests.factories.ingest import committed_source
from tests.smtp.conftest import Mailbox


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that were verified or seemingly verified, and the ids that were looked up."""
    made: list[str] = []

    def counted(name: str, position: int) -> None:
        real = getattr(module, name)

        def count(*arguments: Any) -> Any:
            made.append(f"checked {len(arguments[position].query)}")
            return real(*arguments)

        monkeypatch.setattr(module, name, count)

    counted("verify", 1)
    counted("dummy_verify", 0)
    return made


async def test_the_work_is_the_same(
    mailbox: Mailbox, resources: Resources, tenant_id: TenantId, checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = str(mailbox.created.secret)
    generic = await committed_source(resources, tenant_id, kind="generic", profile="url_secret", secret=secret)
    bearer = await committed_source(resources, tenant_id, kind="email", profile="bearer", secret=secret)
    looked: list[str] = []
    sources = mailbox.listener.recipients._sources
    find = sources.find

    async def counting_find(public_id: str) -> Any:
        looked.append(public_id)
        return await find(public_id)

    monkeypatch.setattr(sources, "find", counting_find)

    async def work(address: str) -> tuple[int, list[str]]:
        looked.clear()
        checks.clear()
        assert await mailbox.listener.recipients.judge(address) is Refusal.UNKNOWN
        return len(looked), list(checks)

    wrong = [
        address_of(mailbox.created.source.public_id, secret[:-1] + "x", domain="x.example"),
        address_of("0" * 25 + "1", secret, domain="x.example"),
        address_of(generic.source.public_id, secret, domain="x.example"),
        address_of(bearer.source.public_id, secret, domain="x.example"),
    ]
    done = [await work(address) for address in wrong]
    assert done == [(1, [f"checked {len('token=' + secret)}"] * 2)] * len(wrong)
    # What has not even the form of an address of ours is known to be none by anybody.
    assert (await work("postmaster@x.example"))[0] == 1
