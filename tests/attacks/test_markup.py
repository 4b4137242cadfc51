"""B17: markup languages whose parsers expand what they read; none of them is ever given a body."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from app.ingest.rules.requests import accepts_type
from app.ingest.sources import all_sources
from app.net.signing import shipped_profiles
from tests.attacks.target import Target

APP = Path(__file__).resolve().parents[2] / "app"
LAUGHS = (
    b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]><lolz>&lol2;</lolz>"""
)
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>"""
ANCHORS = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b, *b]\n"
TYPES = ["application/xml", "text/xml", "application/soap+xml", "application/yaml", "text/yaml", "application/x-yaml"]


@pytest.mark.attack("B17")
@pytest.mark.parametrize("body", [LAUGHS, OUTSIDE, ANCHORS], ids=["laughs", "outside", "anchors"])
@pytest.mark.parametrize("content_type", TYPES)
async def test_signed_markup_is_not_taken(target: Target, body: bytes, content_type: str) -> None:
    answer = await target.post(body, target.signed(body) | {"content-type": content_type})
    assert answer.status_code == 415
    assert await target.deliveries() == []


@pytest.mark.attack("B17")
def test_no_sender_may_send_markup() -> None:
    taken = {name for kind in all_sources().values() for name in kind.content_types}
    taken |= {name for profile in shipped_profiles().values() for name in profile.limits.content_types}
    assert not [name for name in taken if "xml" in name or "yaml" in name]
    assert not any(accepts_type(name.encode(), sorted(taken)) for name in TYPES)


@pytest.mark.attack("B17")
def test_no_parser_of_markup_stands_behind_the_intake() -> None:
    """Under another content type the bytes are text, or no JSON."""
    found = set()
    for path in sorted((APP / "ingest").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {name.partition(".")[0] for name in names}
    assert not found & {"xml", "lxml", "yaml", "ruamel", "defusedxml", "plistlib", "pickle", "marshal"}
