"""A new user connects a sender and sees the incident, by the command line alone: no API call, nothing but what is printed.

The commands are those of docs/how-to/first-alert.md, and the shown curl line goes through a real shell, as it would be
pasted.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from dataclasses import dataclass

import pytest

from app.db.migrate import ROOT
from tests.fixtures.commands import variables
from tests.fixtures.stack import ProcessStack
from tests.flows.conftest import FlowTenant

# A form and a text among them: their curl lines are not JSON.
KINDS = ["alertmanager", "generic", "github", "uptimerobot", "email"]


@dataclass
class Shell:
    """A terminal of the user's: the settings of the stack in its environment, nothing else."""

    environment: dict[str, str]

    async def tocsin(self, *words: str) -> tuple[int, str, str]:
        return await self._run(sys.executable, "-m", "app.cli", *words)

    async def paste(self, line: str) -> tuple[int, str, str]:
        return await self._run("/bin/sh", "-c", line)

    async def _run(self, *command: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()


def shell_on(stack: ProcessStack, flow: FlowTenant) -> Shell:
    return Shell(
        {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
            **variables(stack.settings),
            "TOCSIN_INGEST__PUBLIC_URL": stack.api_url,
            "TOCSIN_TENANT": str(flow.tenant_id),
            "COLUMNS": "200",
        }
    )


@pytest.fixture
def shell(stack: ProcessStack, flow: FlowTenant) -> Shell:
    return shell_on(stack, flow)


@pytest.mark.timeout(300)
async def test_from_nothing_to_the_first_incident_with_nothing_but_what_is_printed(shell: Shell) -> None:
    numbers: dict[str, str] = {}
    for kind in KINDS:
        code, shown, err = await shell.tocsin("sources", "add", kind)
        assert code == 0, f"{kind}: {err}"
        assert "At the sender: " in shown, f"{kind} says nothing about where the secret goes"
        line = re.search(r"^try it  (.*curl .*)$", shown, re.MULTILINE)
        assert line is not None, f"{kind}: no curl line\n{shown}"
        code, answer, err = await shell.paste(line.group(1))
        assert code == 0, f"{kind}: {err}"
        code, tree, err = await shell.tocsin("receipt", json.loads(answer)["receipt_id"], "--wait")
        assert code == 0, f"{kind}: {tree}\n{err}"
        number = re.search(r"incident #(\d+)", tree)
        assert number is not None, f"{kind}: {tree}"
        numbers[kind] = number.group(1)
    code, listed, _ = await shell.tocsin("incidents", "list", "--json")
    assert code == 0
    shown_by_list = {found["source_kind"]: str(found["number"]) for found in map(json.loads, listed.splitlines())}
    assert shown_by_list == numbers
    code, whole, _ = await shell.tocsin("incidents", "show", numbers["alertmanager"])
    assert code == 0
    assert "Incident opened by" in whole, "the timeline says how it came about"


async def test_one_command_sends_the_test_and_shows_the_chain(shell: Shell) -> None:
    code, shown, err = await shell.tocsin("sources", "add", "grafana", "our grafana", "--send-test")
    assert code == 0, shown + err
    for word in ("accepted", "parsed", "alerts", "incidents", "jobs", "effects", "incident #1", "no runbook"):
        assert word in shown, f"{word} is missing in\n{shown}"


async def test_what_goes_wrong_says_what_to_do(shell: Shell) -> None:
    for words, status, said in (
        (("sources", "add"), 2, "tocsin sources kinds"),
        (("sources", "add", "alertmanger"), 2, "Did you mean alertmanager"),
        (("sources", "add", "generic", "--config", "["), 2, "--config is not JSON"),
        (("sources", "add", "generic", "--url", "http://127.0.0.1:9", "--send-test"), 1, "Is the API running there?"),
        (("receipt", "no-such-id"), 1, "tocsin deliveries list"),
        (("receipt", "00000000-0000-7000-8000-000000000000"), 1, "No such delivery"),
        (("incidents", "show", "77"), 1, "no incident #77"),
        (("incidents", "show", "x"), 2, "tocsin incidents list"),
        (("deliveries", "replay"), 2, "--all"),
    ):
        code, shown, err = await shell.tocsin(*words)
        assert (code, said in shown + err) == (status, True), f"{words}: {code}\n{shown}{err}"
        assert "Traceback" not in err
