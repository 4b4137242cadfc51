"""Load from one ``wrk`` process: requests are signed beforehand, so that the client costs the same whatever it calls."""

from __future__ import annotations

import base64
import hmac
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

SCRIPT = """
local requests, index = {}, 0
local file = assert(io.open(os.getenv("BENCH_REQUESTS"), "rb"))
while true do
  local size = file:read(8)
  if size == nil then break end
  requests[#requests + 1] = file:read(tonumber(size, 16))
end
file:close()
request = function()
  index = index + 1
  if index > #requests then index = 1 end
  return requests[index]
end
done = function(summary, latency)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("FIGURES %d %d %d %.3f %.3f\\n", summary.requests, summary.duration, bad,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk measured: requests a second, and milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float
    failed: int


def event(number: int, run: str, *, padding: int = 600) -> dict[str, object]:
    """This will return a generic event of about 2/3 kB."""
    return {"id": f"{run}-{number}", "title": "Queue is deep", "severity": "high", "description": "x" * padding}


def signed_request(path: str, secret: str, body: bytes, message_id: str, *, stamp: int) -> bytes:
    """This will return one HTTP request, signed after Standard Webhooks."""
    signed = f"{message_id}.{stamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(base64.b64decode(secret), signed, "sha256")).decode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"webhook-id: {message_id}\r\nwebhook-timestamp: {stamp}\r\nwebhook-signature: v1,{signature}\r\n\r\n"
    )
    return head.encode() + body


def events(path: str, secret: str) -> Callable[[int], bytes]:
    """This will return what makes the n-th signed event of a run that no other run repeats."""
    run, stamp = os.urandom(4).hex(), int(time.time())

    def make(number: int) -> bytes:
        body = orjson.dumps(event(number, run))
        return signed_request(path, secret, body, f"msg_{run}_{number}", stamp=stamp)

    return make


@contextmanager
def request_file(make: Callable[[int], bytes], count: int) -> Iterator[Path]:
    """This will write the requests to a file, each behind its length, and remove it afterwards."""
    with tempfile.NamedTemporaryFile(suffix=".requests") as file:
        for number in range(count):
            request = make(number)
            file.write(b"%08x" % len(request) + request)
        file.flush()
        yield Path(file.name)


def wrk(port: int, requests: Path, *, connections: int, seconds: float) -> Load:
    """This will load the port from one thread. Wrapping around repeats requests: give it enough of them."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing; on Debian and Ubuntu: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT)
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", script.name]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}"],
            env={**os.environ, "BENCH_REQUESTS": str(requests)},
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r"FIGURES (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)", done.stdout)
    if found is None:
        raise SystemExit(f"wrk said nothing that could be read:\n{done.stdout}\n{done.stderr}")
    total, micros, bad = (int(found[number]) for number in (1, 2, 3))
    return Load((total - bad) / (micros / 1e6), float(found[4]), float(found[5]), bad)
