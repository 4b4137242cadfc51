"""``tocsin sources``: what an operator types, end to end on the database."""

from __future__ import annotations

import shlex
from functools import partial

import pytest

from app.cli.sources import app
from app.core.ids import TenantId
from app.core.resources import Resources
from tests.factories.ingest import Sender, committed_source
from tests.fixtures.commands import run_command

run = partial(run_command, app)


@pytest.mark.usefixtures("environment")
async def test_a_source_made_on_the_command_line_takes_deliveries(sender: Sender) -> None:
    code, shown = await run("create", "alertmanager", "from the shell")
    assert code == 0, shown
    words = shlex.split(shown.partition("try it")[2])
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    path = "/" + words[4].split("/", 3)[3]
    sent = await sender.client.post(path, content=words[-1].encode(), headers=headers)
    assert sent.status_code == 202
    code, listed = await run("list")
    assert code == 0
    assert "from the shell" in listed
    assert path in listed


@pytest.mark.usefixtures("environment")
async def test_a_rotated_secret_is_printed_and_a_wrong_id_is_one_line(
    resources: Resources, tenant_id: TenantId
) -> None:
    source = await committed_source(resources, tenant_id)
    code, shown = await run("rotate-secret", str(source.source.id), "--overlap-s", "60")
    assert code == 0, shown
    assert "whsec_" in shown
    code, shown = await run("rotate-secret", "00000000-0000-7000-8000-000000000000")
    assert code == 1
    assert "No such source" in shown
    code, shown = await run("create", "generic", "x", "--config", "[")
    assert code == 2
    assert "not JSON" in shown
