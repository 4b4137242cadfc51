"""The scripts that the how-to pages ship for Nagios, Icinga 2, Checkmk and Zabbix: what they send verifies, is read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.incidents.rules.states import AlertStatus
from app.ingest.sources import get_source
from app.net.signing import Verified, generate_secret, get_profile, load_secret, stored_form, verify
from app.net.signing.verdicts import SignedRequest
from tests.contracts.test_sources import FOLDER

HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to"
PROFILE = get_profile("standard_webhooks")
# Stands in for curl: it keeps what it was told and what it was given to send.
FAKE_CURL = '#!/usr/bin/env bash\nprintf "%s\\n" "$@" > "$SENT/arguments"\ncat > "$SENT/body"\n'


def block(page: str, language: str) -> str:
    """The first code block of the language on the page."""
    found = re.search(rf"```{language}\n(.*?)```", (HOW_TO / page).read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def assert_verifies(headers: dict[str, str], body: bytes, secret: str) -> None:
    request = SignedRequest("POST", "/in/x", b"", [(n.encode(), v.encode()) for n, v in headers.items()], body)
    key = load_secret(PROFILE, stored_form(PROFILE, secret), secret_id="1")
    verdict = verify(PROFILE, request, [key], datetime.now(UTC))
    assert isinstance(verdict, Verified), verdict


class Command:
    """The notification command, installed in a folder of its own."""

    def __init__(self, folder: Path, url: str, secret: str) -> None:
        self.folder = folder
        self.script = folder / "tocsin-notify"
        self.script.write_text(block("connect-nagios.md", "bash"))
        (folder / "conf").write_text(f"TOCSIN_URL='{url}'\nTOCSIN_SECRET='{secret}'\n")
        curl = folder / "bin" / "curl"
        curl.parent.mkdir()
        curl.write_text(FAKE_CURL)
        curl.chmod(0o755)

    def run(self, *arguments: str) -> tuple[dict[str, str], bytes, str]:
        """This will run it and return the headers, the body and the address that curl was to send."""
        bash = shutil.which("bash")
        assert bash is not None
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "TOCSIN_CONF": str(self.folder / "conf"),
            "SENT": str(self.folder),
        }
        subprocess.run([bash, str(self.script), *arguments], env=environment, check=True, timeout=30)
        told = (self.folder / "arguments").read_text().splitlines()
        pairs = [told[place + 1] for place, word in enumerate(told) if word == "--header"]
        headers = dict(pair.split(": ", 1) for pair in pairs)
        return headers, (self.folder / "body").read_bytes(), told[-1]


@pytest.fixture
def secret() -> str:
    return generate_secret(PROFILE)


@pytest.fixture
def command(tmp_path: Path, secret: str) -> Command:
    return Command(tmp_path, "https://tocsin.test/in/abc", secret)


def test_the_command_for_nagios_signs_what_nagios_says(command: Command, secret: str) -> None:
    headers, body, url = command.run(
        *("type=PROBLEM", "host=db-7", "service=Disk /var", "state=CRITICAL", "long_output=/var 4%\\n/tmp 80%"),
        *("output=DISK CRITICAL: 100% = full", "changed=1772446504", "time=1772446564", "author="),
    )
    assert_verifies(headers, body, secret)
    assert url == "https://tocsin.test/in/abc"
    assert headers["content-type"] == "application/json"
    source = get_source("nagios")
    event = source.parse(body, {}, source.config_model())[0]
    assert event.dedup_key == "db-7!Disk /var"
    assert event.title == "Disk /var on db-7 is CRITICAL: DISK CRITICAL: 100% = full"
    assert event.description.splitlines()[1:] == ["/var 4%", "/tmp 80%"]


@pytest.mark.parametrize(
    "output",
    [
        'say "hello"',
        "back\\slash \\n",
        "tab\there",
        "two\nlines",
        "Größe: 漢字 ✓",
        "$(id) `id` ; rm -rf / #",
        "{}[]:,",
        "",
    ],
)
def test_whatever_a_check_says_stays_one_json_text(command: Command, secret: str, output: str) -> None:
    headers, body, _ = command.run("type=PROBLEM", "host=h", "state=DOWN", f"output={output}")
    assert_verifies(headers, body, secret)
    assert json.loads(body)["output"] == output.replace("\t", "")


def test_bytes_that_are_no_text_do_not_make_the_body_unreadable(command: Command, secret: str) -> None:
    headers, body, _ = command.run("type=PROBLEM", "host=h", "state=DOWN", os.fsdecode(b"output=caf\xe9 full"))
    assert_verifies(headers, body, secret)
    assert json.loads(body)["output"] == "caf full"


def test_two_runs_are_two_deliveries(command: Command) -> None:
    first, _, _ = command.run("type=CUSTOM", "host=h")
    second, _, _ = command.run("type=CUSTOM", "host=h")
    assert first["webhook-id"] != second["webhook-id"]


@pytest.mark.parametrize(("slug", "page"), [("nagios", "connect-nagios.md"), ("icinga2", "connect-nagios.md")])
def test_the_definitions_send_what_is_read(slug: str, page: str) -> None:
    text = (HOW_TO / page).read_text()
    section = text.split("## Nagios" if slug == "nagios" else "## Icinga 2")[1].split("\n## ")[0]
    sent = set(re.findall(r"[ \"](\w+)='?\$", section))
    sample = json.loads((FOLDER / slug / "samples" / "problem.json").read_bytes())
    optional = {"check_source", "hostgroups", "servicegroups", "web_url", "address"} if slug == "icinga2" else set()
    assert sent == set(sample) - optional


def plug_in() -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "plug_in"}
    exec(compile(block("connect-nagios.md", "python"), "plug_in", "exec"), found)
    return found


def test_the_plug_in_for_checkmk_signs_its_environment(secret: str) -> None:
    code = plug_in()
    environment = {
        "NOTIFY_WHAT": "SERVICE",
        "NOTIFY_NOTIFICATIONTYPE": "PROBLEM",
        "NOTIFY_HOSTNAME": "db-7",
        "NOTIFY_SERVICEDESC": "Filesystem /var",
        "NOTIFY_SERVICESTATE": "CRITICAL",
        "NOTIFY_SERVICEOUTPUT": "Größe 96 %",
        "NOTIFY_PARAMETER_2": secret,
        "NOTIFY_CONTACTEMAIL": "ada@example.com",
        "PATH": "/bin",
    }
    body = code["body_of"](environment)
    headers = code["headers_for"](secret, body, "msg_1", int(time.time()))
    assert_verifies(headers, body, secret)
    assert secret.encode() not in body
    assert b"ada@example.com" not in body
    source = get_source("checkmk")
    event = source.parse(body, {}, source.config_model())[0]
    assert (event.status, event.title) == (
        AlertStatus.FIRING,
        "Filesystem /var on db-7 is CRITICAL: Größe 96 %",
    )


def test_the_parameters_for_zabbix_are_what_is_read() -> None:
    text = (HOW_TO / "connect-zabbix.md").read_text()
    named = dict(re.findall(r"\| `(\w+)` \| `([^`]+)` \|", text))
    sample = json.loads((FOLDER / "zabbix" / "samples" / "problem.json").read_bytes())
    assert set(named) == set(sample) | {"update_nseverity"}
    read = (Path(FOLDER) / "zabbix" / "__init__.py").read_text()
    assert [name for name in named if f'"{name}"' not in read] == []


def test_the_script_for_zabbix_does_not_send_its_secret() -> None:
    script = block("connect-zabbix.md", "javascript")
    body_made = script.index("JSON.stringify(sent)")
    assert script.index("delete sent.tocsin_secret") < body_made
    assert script.index("delete sent.tocsin_url") < body_made
    assert "id + '.' + timestamp + '.' + body" in script
