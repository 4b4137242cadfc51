"""The program that the how-to puts on a Wazuh manager: signed as another implementation reads it, patient, quick to give up."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
import standardwebhooks

from app.ingest.sources import all_sources

ROOT = Path(__file__).resolve().parents[3]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """Answers with the given statuses, one after the other, the last one for ever."""

    statuses: list[int] = field(default_factory=lambda: [202])
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    address: str = ""

    def answer(self) -> int:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(found.answer())
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_port}/in/abc"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def run(tmp_path: Path, receiver: Receiver, alert: bytes) -> subprocess.CompletedProcess[str]:
    page = (ROOT / "docs" / "how-to" / "connect-wazuh.md").read_text()
    script = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert script is not None
    program, file = tmp_path / "custom-tocsin", tmp_path / "alert.json"
    program.write_text(script.group(1))
    file.write_bytes(alert)
    command = [sys.executable, str(program), str(file), SECRET, receiver.address]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_an_alert_arrives_signed_and_is_understood(tmp_path: Path, receiver: Receiver) -> None:
    source = all_sources()["wazuh"]
    done = run(tmp_path, receiver, orjson.dumps(dict(source.example)))
    assert done.returncode == 0, done.stderr
    headers, body = receiver.requests[0]
    standardwebhooks.Webhook(SECRET).verify(body, headers)
    assert headers["content-type"] == "application/json"
    events = source.parse(body, headers, source.config_model())
    assert [event.title for event in events] == ["sshd: brute force trying to get access to the system on web-1"]


def test_an_overloaded_receiver_gets_the_same_delivery_again(tmp_path: Path, receiver: Receiver) -> None:
    receiver.statuses = [503, 202]
    done = run(tmp_path, receiver, b'{"rule": {"id": "1", "level": 3}}')
    assert done.returncode == 0, done.stderr
    (first, body), (second, again) = receiver.requests
    assert body == again
    assert first["webhook-id"] == second["webhook-id"]


def test_a_refusal_is_not_repeated(tmp_path: Path, receiver: Receiver) -> None:
    receiver.statuses = [401]
    done = run(tmp_path, receiver, b'{"rule": {"id": "1", "level": 3}}')
    assert done.returncode == 1
    assert "401" in done.stderr
    assert len(receiver.requests) == 1
