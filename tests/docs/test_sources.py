"""What the guides to sources show works as shown: their blocks are taken out of the pages and run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given

from app.core.clock import FakeClock
from app.db.migrate import ROOT
from app.ingest.contract import AlertSource, ParseError
from app.ingest.schemas import PreviewRequest
from app.ingest.service import preview
from app.ingest.service.shown import example_body
from app.net.signing import load_custom, shipped_profiles
from tests.contracts.test_sources import JSON, assert_clean, outcome
from tests.ingest.sources.test_mapping import fault

GUIDES = ROOT / "docs" / "how-to"
BLOCK = re.compile(r"^```(\w+) ([\w./]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAPPED = ("add-a-source.md", "map-any-payload.md")


def blocks(page: str) -> list[tuple[str, str]]:
    """The named blocks of a page, in order."""
    return [(name, text) for _, name, text in BLOCK.findall((GUIDES / page).read_text())]


def unpack(folder: Path) -> None:
    """Write the guide's source as its reader would."""
    for name, text in blocks("add-a-source.md"):
        if name == "__init__.py" or name.startswith("samples/"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("documented") / "hetrixtools"
    unpack(found)
    return found


@pytest.fixture(scope="module")
def source(folder: Path) -> AlertSource:
    spec = importlib.util.spec_from_file_location("documented_source", folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    documented: AlertSource = module.SOURCE
    return documented


def test_the_documented_source_keeps_the_contract(source: AlertSource, folder: Path) -> None:
    samples = [path for path in (folder / "samples").glob("*.json") if ".expected" not in path.name]
    outcomes = []
    for path in samples:
        found = orjson.loads(orjson.dumps(outcome(source, path.read_bytes())))
        assert found == orjson.loads(path.with_suffix(".expected.json").read_bytes()), path.name
        outcomes.append(found)
    assert len(samples) >= 3
    assert {type(found) for found in outcomes} == {list, dict}
    assert source.slug == folder.name
    assert source.profile in shipped_profiles()
    assert source.setup
    (event,) = source.parse(example_body(source), {}, source.config_model())
    assert event.warnings == ()


@given(payload=JSON)
def test_the_documented_source_takes_anything(source: AlertSource, payload: Any) -> None:
    for body in (payload, {"monitor_id": payload}, {"monitor_id": 1, "monitor_status": payload, "timestamp": payload}):
        try:
            assert_clean(source.parse(orjson.dumps(body), {}, source.config_model()))
        except ParseError:
            continue


@pytest.mark.parametrize("page", MAPPED)
def test_a_documented_mapping_gives_what_the_page_shows(page: str, clock: FakeClock) -> None:
    shown = {name: orjson.loads(text) for name, text in blocks(page) if name in ("payload", "settings", "result")}
    words = {"error": "P1", "degraded": "P2"} if page == "add-a-source.md" else {}
    wanted = PreviewRequest(
        kind="generic", config=shown["settings"], body=orjson.dumps(shown["payload"]).decode(), severity_map=words
    )
    found = preview(wanted, now=clock.now())
    (event,) = found.events
    got = {**event.model_dump(mode="json"), "notes": found.notes}
    assert {name: got[name] for name in shown["result"]} == shown["result"]


def test_the_documented_rules_for_mail_give_what_the_page_says(clock: FakeClock) -> None:
    text = (GUIDES / "receive-mail.md").read_text()
    mail = re.findall(r"^```text\n(From:.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]
    settings = orjson.loads(re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0])

    def shown(body: str) -> tuple[str, str, str]:
        (event,) = preview(PreviewRequest(kind="email", config=settings, body=body), now=clock.now()).events
        return event.title, event.status, event.raw_severity

    assert shown(mail) == ("ups-4: on battery", "firing", "critical")
    assert shown(mail.replace("ON BATTERY", "ON LINE"))[:2] == ("ups-4: on line", "resolved")


def test_the_documented_profile_loads_and_its_vectors_hold() -> None:
    ((_, text),) = blocks("verify-a-sender.md")
    compiled = load_custom(orjson.loads(orjson.dumps(yaml.safe_load(text))))
    assert (compiled.slug, compiled.strength.value) == ("acme", "signed_fresh")
    assert [vector.expect for vector in compiled.profile.vectors] == ["accept", "mismatch", "skew", "missing"]


@pytest.mark.parametrize(
    ("config", "starts"),
    [
        ({"labels": {"host": "$.data"}}, "labels.host: at character 1: Unknown token $"),
        ({"title": "host is down"}, "title: at character 6: 'is' cannot stand here"),
        ({"severity": "match(a, '(a')"}, "severity: at character 1: the pattern of match"),
    ],
)
def test_a_documented_error_is_the_one_that_is_given(config: dict[str, Any], starts: str) -> None:
    said = ": ".join(fault(**config))
    assert said.startswith(starts)
    assert said in (GUIDES / "map-any-payload.md").read_text()
