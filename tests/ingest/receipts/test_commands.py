"""``tocsin receipt``, ``deliveries`` and ``sources try``: what is printed, and what a script is told."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable
from datetime import timedelta
from importlib import import_module
from typing import Any, TypeVar

import pytest
from typer.testing import Result

from app.cli.environment import FILE, adopt, leave
from app.settings import Settings
from tests.factories.ingest import alert_body
from tests.fixtures.commands import invoke, put_in_environment
from tests.fixtures.wait import wait_until
from tests.ingest.receipts.conftest import Scene

T = TypeVar("T")
PAUSE = timedelta(seconds=3)
NEVER = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def typed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The scene, with the settings of its processes in the environment."""
    put_in_environment(monkeypatch, scene.resources.get(Settings), TOCSIN_TENANT=str(scene.tenant_id))
    return scene


async def run(command: str, *words: str) -> Result:
    return await invoke(import_module(f"app.cli.{command}").app, *words)


def printed(result: Result) -> dict[str, Any]:
    """The JSON that a command printed; the test's own API and worker log to the same terminal."""
    found = re.search(r"^{$.*^}$", result.output, re.MULTILINE | re.DOTALL)
    assert found is not None, result.output
    document: dict[str, Any] = json.loads(found.group())
    return document


async def working(scene: Scene, command: Awaitable[T]) -> T:
    """Let a worker work while the command waits."""
    task = asyncio.ensure_future(command)
    while not task.done():
        await scene.work()
        await asyncio.wait({task}, timeout=0.1)
    return await task


async def test_a_receipt_is_a_tree_json_and_an_exit_status(typed: Scene) -> None:
    source = await typed.source()
    receipt_id = await typed.send(
        source, alert_body(id="q-1", title="Queue \x1b[31mis\x1b[0m [bold]deep"), delivery_id="msg_1"
    )
    waiting = await run("receipts", receipt_id)
    assert waiting.exit_code == 4, waiting.output
    assert "parsed" in waiting.output
    shown = await working(typed, run("receipts", "msg_1", "--wait"))
    assert shown.exit_code == 0, shown.output
    for word in ("sent as msg_1", "opened by it", "q-1", "no runbook", "[bold]deep"):
        assert word in shown.output
    assert "\x1b[31m" not in shown.output, "a sender's words move nothing on the terminal"
    whole = printed(await run("receipts", receipt_id, "--json"))
    assert [stage["stage"] for stage in whole["stages"]] == [
        "accepted",
        "parsed",
        "alerts",
        "incidents",
        "jobs",
        "effects",
    ]
    bad = await typed.send(source, b"{")
    assert (await working(typed, run("receipts", bad, "--watch"))).exit_code == 3
    assert (await run("receipts", NEVER)).exit_code == 1


async def test_deliveries_are_listed_shown_and_replayed(typed: Scene) -> None:
    source = await typed.source(config={"items": "title"})
    failed = [await typed.send(source, alert_body(id=f"q-{i}", password="hunter2")) for i in range(3)]
    await typed.work()
    listed = await run("deliveries", "list", "--failed", "--reason", "body.unexpected_shape")
    assert all(delivery in listed.output for delivery in failed), listed.output
    assert "none of the alerts is an object" in listed.output
    assert printed(await run("deliveries", "show", failed[0]))["state"] == "rejected"
    body = await run("deliveries", "show", failed[0], "--body")
    assert "q-0" in body.output
    assert "hunter2" not in body.output
    assert "hunter2" in (await run("deliveries", "show", failed[0], "--raw")).output
    looks = await typed.run_sql("select count(*) from audit_entries where action = 'delivery.body_read'")
    assert looks == [(2,)]

    await typed.run_sql("update sources set config = '{}'")
    single = await run("deliveries", "replay", failed[0])
    assert "is tried again" in single.output, single.output
    assert (await working(typed, run("receipts", failed[0], "--wait"))).exit_code == 0
    started = await run("deliveries", "replay", "--all", "--source", str(source.source.id), "--no-wait")
    assert started.exit_code == 4
    assert "running" in (await run("deliveries", "replays")).output
    while "running" in (await run("deliveries", "replays")).output:
        await typed.work()
        typed.clock.advance(PAUSE)
    assert await typed.run_sql("select count(*) from alerts") == [(3,)]
    assert (await run("deliveries", "cancel", NEVER)).exit_code == 1


async def test_who_waits_for_a_replay_is_told_of_its_end_by_another(typed: Scene) -> None:
    await typed.send(await typed.source(), b"{")
    await typed.work()
    waiting = asyncio.ensure_future(run("deliveries", "replay", "--all"))

    async def running() -> str:
        rows = await typed.run_sql("select cast(id as text) from replays where state = 'running'")
        return str(rows[0][0]) if rows else ""

    replay_id = await wait_until(running, what="the replay has begun")
    stopped = await run("deliveries", "cancel", replay_id)
    said = f"replay {replay_id} is cancelled after 0 deliveries\n"
    assert (stopped.exit_code, stopped.output.endswith(said)) == (0, True), stopped.output
    ended = await waiting
    assert (ended.exit_code, f"replay {replay_id} was cancelled" in ended.output) == (4, True), ended.output


async def test_a_candidate_is_tried_from_the_shell(typed: Scene) -> None:
    source = await typed.source()
    for number in range(2):
        await typed.send(source, alert_body(id=f"q-{number}", labels={"service": "shop"}))
    await typed.work()
    source_id = str(source.source.id)
    same = await working(typed, run("sources", "try", source_id))
    # The deliveries of a fake clock have ids of today, and came in today as far as the stretch is concerned.
    assert (same.exit_code, "Nothing would be different: 2 deliveries" in same.output) == (0, True), same.output
    merged = await working(typed, run("sources", "try", source_id, "--group-by", "service", "--json"))
    assert merged.exit_code == 3, merged.output
    counts: dict[str, Any] = printed(merged)["result"]["counts"]
    assert (counts["merged"], counts["incidents"]) == (1, {"now": 2, "then": 1})
    shown = await working(typed, run("sources", "try", source_id, "--severity", "high=P0"))
    assert "severity P1 → P0" in shown.output
    refused = await run("sources", "try", source_id, "--default-severity", "P9")
    assert (refused.exit_code, "default_severity" in refused.output) == (2, True)


async def test_a_candidate_is_saved_from_the_shell(typed: Scene) -> None:
    source_id = str((await typed.source()).source.id)
    saved = await run("sources", "set", source_id, "--group-by", "service", "--severity", "page=P0", "--name", "shop")
    assert (saved.exit_code, "group_by, name, severity_map" in saved.output) == (0, True), saved.output
    rows = await typed.run_sql("select name, group_by, severity_map from sources")
    assert rows == [("shop", ["service"], {"page": "P0"})]
    for refused in (("--default-severity", "P9"), ()):
        assert (await run("sources", "set", source_id, *refused)).exit_code == 2


def test_commands_find_the_stack_beside_them(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """``tocsin up`` leaves its settings for the commands; what is set by hand always holds."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOCSIN_DATABASE__APP_URL", "TOCSIN_TENANT", "TOCSIN_REDIS__URL"):
        monkeypatch.delenv(name, raising=False)
    stack = {
        "TOCSIN_DATABASE__APP_URL": "postgresql://x",
        "TOCSIN_REDIS__URL": "redis://x",
        "TOCSIN_HTTP__METRICS_PORT": "1",
    }
    folder = tmp_path / "tocsin-data"
    folder.mkdir()
    leave(folder, stack, tenant_id="t-1")
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("TOCSIN_TENANT", "mine")
    with monkeypatch.context() as inner:
        inner.setenv("TOCSIN_DATABASE__APP_URL", "postgresql://other")
        adopt(folder)
        assert "TOCSIN_REDIS__URL" not in os.environ, "whoever names a database is not concerned"
    with monkeypatch.context() as inner:
        # Set and taken away through the context, so that it restores what is adopted in between.
        for name in stack:
            inner.setenv(name, "")
            inner.delenv(name)
        adopt(folder)
        found = {name: os.environ.get(name) for name in (*stack, "TOCSIN_TENANT")}
    assert found == {
        "TOCSIN_DATABASE__APP_URL": "postgresql://x",
        "TOCSIN_REDIS__URL": "redis://x",
        "TOCSIN_HTTP__METRICS_PORT": None,
        "TOCSIN_TENANT": "mine",
    }
