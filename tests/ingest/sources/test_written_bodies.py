"""The bodies that the how-to tells administrators to write: filled in as each sender does, they are understood."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.sources import all_sources

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "connect-by-template.md"


def block(heading: str, language: str, containing: str) -> str:
    """The code block of this language under the heading that holds a text."""
    _, _, section = PAGE.read_text().partition(f"\n## {heading}\n")
    section = section.partition("\n## ")[0]
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return next(text for text in found if containing in text)


def understood(slug: str, body: str, **config: Any) -> AlertEvent:
    source = all_sources()[slug]
    (event,) = source.parse(body.encode(), {}, source.config_model.model_validate(config))
    assert event.warnings == ()
    return event


def test_the_rule_of_elastalert() -> None:
    rule = yaml.safe_load(block("ElastAlert 2", "yaml", "http_post2_payload"))
    match = {
        "@timestamp": "2026-04-11T02:14:30Z",
        "_index": "filebeat-1",
        "user": {"name": 'eve "x"'},
        "host": {"name": "bastion-1"},
        "num_hits": 40,
        "num_matches": 1,
    }
    # The alerter escapes the match for JSON, renders the payload as one text, and puts it over the match.
    escaped = json.loads(json.dumps(match).replace('\\"', '\\\\\\"'))
    rendered = jinja2.Template(json.dumps(rule["http_post2_payload"]), autoescape=False).render(**escaped)
    event = understood("elastalert", json.dumps({**match, **json.loads(rendered)}))
    assert (event.status, event.title) == (AlertStatus.FIRING, 'Failed logins of eve "x"')
    assert event.raw_severity == "critical"
    assert event.labels["alertname"] == "Failed logins"


@pytest.mark.parametrize(("said", "status"), [("down", AlertStatus.FIRING), ("up", AlertStatus.RESOLVED)])
def test_the_request_body_of_healthchecks(said: str, status: AlertStatus) -> None:
    values = {
        "$CODE": "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278",
        "$NAME_JSON": json.dumps('Backup of "db-3"'),
        "$SLUG": "backup-of-db-3",
        "$STATUS": said,
        "$NOW": "2026-04-11T03:30:00+00:00",
        "$TAGS": "prod severity:high",
        "$EXITSTATUS": "2",
        "$BODY_JSON": json.dumps("line one\nline two"),
    }
    body = re.sub(r"\$[A-Z_]+", lambda found: values[found.group()], block("Healthchecks", "json", "$CODE"))
    event = understood("healthchecks", body)
    assert (event.status, event.title) == (status, f'Backup of "db-3" is {said}')
    assert event.raw_severity == "high"
    assert "line two" in event.description


@pytest.mark.parametrize(("state", "status"), [("1", AlertStatus.FIRING), ("0", AlertStatus.RESOLVED)])
def test_the_body_of_librenms(state: str, status: AlertStatus) -> None:
    values = {
        "alert_id": "42",
        "uid": "9001",
        "device_id": "7",
        "rule_id": "3",
        "state": state,
        "severity": "critical",
        "timestamp": "2026-04-11 04:14:30",
        "name": "Device down",
        "hostname": "sw1.example.com",
        "sysName": "sw1",
        "location": 'Rack "7"\nstate: 0\nseverity: ok',
        "msg": "Severity: critical\nstate: 5\n",
    }
    template = block("LibreNMS", "text", "$alert_id")
    body = re.sub(r"{{ \$?([A-Za-z_.]+) }}", lambda found: values.get(found.group(1), ""), template)
    event = understood("librenms", body, timezone="Europe/Berlin")
    assert (event.status, event.title, event.dedup_key) == (status, "Device down on sw1", "alert:42")
    assert event.raw_severity == "critical"
    assert event.event_time is not None
    assert event.event_time.isoformat() == "2026-04-11T02:14:30+00:00"
    assert "state: 5" in event.description
