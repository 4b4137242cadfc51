"""The line that a new source shows: for every kind it is what its parser reads, whatever shell it is pasted into."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from app.ingest.contract import FORM
from app.ingest.service.shown import FirstRequest, example_body
from app.ingest.sources import all_sources

KINDS = sorted(all_sources())
AWKWARD = [
    b'{"title": "it\'s 100% \\u00e9 $HOME `id` \\\\ !"}',
    b"two\nlines \\n and a %s and it's\n",
    "ümlaut\n".encode(),
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_is_understood_as_it_is_sent(kind: str) -> None:
    source = all_sources()[kind]
    headers = {"content-type": source.example_type}
    events = source.parse(example_body(source), headers, source.config_model())
    assert events, "a first alert comes of it"
    allowed = ("application/json", *source.content_types)
    assert source.example_type in allowed


def test_a_form_is_sent_by_those_who_send_forms() -> None:
    assert all_sources()["uptimerobot"].example_type == FORM
    assert example_body(all_sources()["uptimerobot"]).startswith(b"monitorID=")


@pytest.mark.parametrize("body", AWKWARD, ids=["json", "lines", "utf8"])
def test_the_line_sends_these_very_bytes(body: bytes) -> None:
    line = FirstRequest("/in/x", (("x-sig", "it's"),), body).curl(public_url="http://127.0.0.1:1/")
    assert "\n" not in line, "one line to be copied"
    # A stand-in for curl that prints the body that it was given.
    stand_in = 'curl() { for last; do :; done; if [ "$last" = "@-" ]; then cat; else printf %s "$last"; fi; }; '
    for shell in ("/bin/sh", "/bin/bash"):
        told = subprocess.run([shell, "-c", stand_in + line], capture_output=True, check=True)
        assert told.stdout == body, shell
    assert "http://127.0.0.1:1/in/x" in shlex.split(line)
