"""The address of an email source: shown once, with a secret that fits into one, and replaced by a rotation."""

from __future__ import annotations

import smtplib
from typing import Any

import httpx
import pytest

from app.cli.sources import app as sources
from app.core.ids import TenantId
from app.core.resources import Resources
from app.ingest.rules.mail import LOCAL_PART_MAX
from app.settings import Settings
from tests.fixtures.commands import put_in_environment, run_command
from tests.ingest.test_endpoints import Tokens, auth
from tests.smtp.conftest import Mailbox, mail


async def create(api: httpx.AsyncClient, tokens: Tokens, key: str = "", **body: Any) -> httpx.Response:
    headers = auth(tokens) | ({"Idempotency-Key": key} if key else {})
    return await api.post("/v1/sources", json={"kind": "email", "name": "mail"} | body, headers=headers)


async def test_the_answer_has_the_address_and_a_repeated_one_has_not(api: httpx.AsyncClient, tokens: Tokens) -> None:
    made = (await create(api, tokens, key="address-shown-once")).json()
    local, _, domain = made["address"].partition("@")
    assert local == f"{made['source']['public_id']}.{made['secret']}"
    assert len(local) <= LOCAL_PART_MAX
    assert local == local.lower()
    assert domain == "localhost"
    assert made["source"]["strength"] == "url_secret"
    repeated = (await create(api, tokens, key="address-shown-once")).json()
    assert (repeated["address"], repeated["secret"]) == (None, None)


@pytest.mark.parametrize(
    "body", [{"kind": "generic", "profile": "url_secret"}, {"profile": "bearer"}], ids=["kind", "profile"]
)
async def test_who_takes_no_mail_has_no_address(api: httpx.AsyncClient, tokens: Tokens, body: dict[str, Any]) -> None:
    made = await create(api, tokens, **body)
    assert (made.status_code, made.json()["address"]) == (201, None)


async def test_a_mail_may_be_posted_too(mailbox: Mailbox, api: httpx.AsyncClient) -> None:
    answer = await api.post(
        mailbox.created.url_path, content=mail().as_bytes(), headers={"content-type": "message/rfc822"}
    )
    assert answer.status_code == 202, answer.text
    assert len(await mailbox.deliveries()) == 1


async def test_a_rotation_makes_a_new_address_and_ends_the_old_one(
    mailbox: Mailbox, api: httpx.AsyncClient, tokens: Tokens
) -> None:
    path = f"/v1/sources/{mailbox.created.source.id}/rotate-secret"
    made = (await api.post(path, json={"overlap_s": 0}, headers=auth(tokens))).json()
    await mailbox.send(mail(), made["address"])
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await mailbox.send(mail("other"), mailbox.address)
    assert len(await mailbox.deliveries()) == 1


async def test_the_command_line_shows_it(
    settings: Settings, resources: Resources, tenant_id: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    smtp = {"TOCSIN_SMTP__DOMAIN": "alerts.example.com", "TOCSIN_SMTP__PUBLIC_PORT": "2526"}
    put_in_environment(monkeypatch, settings, TOCSIN_TENANT=str(tenant_id), **smtp)
    code, shown = await run_command(sources, "add", "email", "by command")
    assert code == 0, shown
    (line,) = [line for line in shown.splitlines() if line.startswith("mail to ")]
    assert "@alerts.example.com" in line
    assert "(SMTP port 2526)" in line
