"""``tocsin sources profiles`` and ``refusals``: what an operator types."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import yaml

from app.cli.sources import app
from app.core.ids import TenantId
from app.core.resources import Resources
from tests.factories.ingest import Sender, committed_source
from tests.fixtures.commands import run_command
from tests.fixtures.wait import wait_until
from tests.ingest.verification.conftest import document
from tests.net.signing.senders import TEXT, hex_mac

run = partial(run_command, app)


async def test_profiles_are_found_and_shown() -> None:
    code, shown = await run("profiles", "list", "--sender", "alertmanager", COLUMNS="300")
    assert code == 0
    assert shown.index("mtls") < shown.index("bearer")
    assert "github" not in shown
    code, shown = await run("profiles", "show", "sns")
    assert code == 0
    assert "plugin:sns" in shown
    assert "the topic's ARN" in shown
    code, shown = await run("profiles", "show", "nobodys")
    assert (code, "no such signature profile" in shown.lower()) == (1, True)


async def test_a_profile_of_ones_own_is_checked_tried_and_set(
    environment: None, tmp_path: Path, resources: Resources, tenant_id: TenantId
) -> None:
    good, bad, request = tmp_path / "acme.yaml", tmp_path / "bad.json", tmp_path / "captured.json"
    good.write_text(yaml.safe_dump(document()))
    bad.write_text(json.dumps(document(vectors=[])))
    assert await run("profiles", "check", str(good)) == (0, "acme loads: signed_fresh, 4 vectors hold\n")
    code, shown = await run("profiles", "check", str(bad))
    assert (code, "needs a vector" in shown) == (1, True)

    request.write_text(json.dumps({"headers": {"x-hub-signature-256": "sha256=" + hex_mac(b"{}")}, "body": "{}"}))
    code, shown = await run("profiles", "preview", str(request), "--profile", "github", TOCSIN_SOURCE_SECRET=TEXT)
    assert (code, shown.startswith("verifies")) == (0, True)
    code, shown = await run("profiles", "preview", str(request), "--profile", "github", TOCSIN_SOURCE_SECRET="x" * 30)
    assert (code, shown.startswith("refused: mismatch")) == (1, True)
    assert hex_mac(b"{}", b"x" * 30) not in shown
    code, shown = await run("profiles", "preview", str(request), "--file", str(good))
    assert (code, shown.startswith("refused: no_secret")) == (1, True)

    source = await committed_source(resources, tenant_id)
    code, shown = await run("profiles", "set", str(source.source.id), "--file", str(good))
    assert code == 0, shown
    assert "(custom, signed_fresh)" in shown
    assert "shown this once" in shown


@pytest.mark.parametrize("command", ["add", "create"])
async def test_a_source_is_made_with_a_profile_of_its_own(environment: None, tmp_path: Path, command: str) -> None:
    good, bad = tmp_path / "acme.yaml", tmp_path / "bad.json"
    good.write_text(yaml.safe_dump(document()))
    bad.write_text(json.dumps(document(vectors=[])))
    code, shown = await run(command, "generic", "acme", "--profile-file", str(bad))
    assert (code, "needs a vector" in shown) == (1, True)
    both = [command, "generic", "acme", "--profile", "github", "--profile-file", str(good)]
    assert await run(*both) == (2, "give a shipped profile or a file with one of your own, not both\n")
    code, shown = await run(command, "generic", "acme", "--profile-file", str(good))
    assert code == 0, shown
    assert "custom" in shown
    assert "x-acme-mac: acme " in shown, "the sample line is signed as the profile says"
    code, listed = await run("list")
    assert (code, listed.count("custom"), "signed_fresh" in listed) == (0, 1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["profiles", "check", "{there}/nowhere.yaml"], "No such file"),
        (["profiles", "check", "{there}/list.yaml"], "holds no object"),
        (["profiles", "preview", "{there}/captured.json"], "one of the two"),
        (["profiles", "preview", "{there}/captured.json", "--profile", "nobodys"], "no such signature profile"),
        (["profiles", "preview", "{there}/odd.json", "--profile", "github"], "odd"),
    ],
)
async def test_slips_are_one_line(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "captured.json").write_text("{}")
    (tmp_path / "odd.json").write_text('{"odd": 1}')
    code, shown = await run(*(word.format(there=tmp_path) for word in words))
    assert code in (1, 2)
    assert says.lower() in shown.lower()
    assert len(shown.strip().splitlines()) == 1


async def test_refusals_are_listed(
    environment: None, sender: Sender, resources: Resources, tenant_id: TenantId
) -> None:
    source = await committed_source(resources, tenant_id)
    await sender.client.post(source.url_path, content=b"{}", headers={"webhook-id": "msg_claimed"})
    await sender.app._refusals.flush()

    async def shown() -> bool:
        code, text = await run("refusals", str(source.source.id))
        return code == 0 and "missing" in text and "msg_claimed" in text

    await wait_until(shown, what="the refusal is written down")
    code, text = await run("refusals", "00000000-0000-7000-8000-000000000000")
    assert (code, "No such source" in text) == (1, True)
