"""The bodies and the script that the how-tos have people paste: filled in as the sender fills them in, they are understood."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dukpy  # type: ignore[import-untyped]
import orjson
import pytest

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.sources import get_source
from app.net.signing import Refused, SignedRequest, Verified, get_profile, load_secret, verify
from app.net.signing.keys import stored_form

HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to"
SECRET = "whsec_" + base64.b64encode(b"a key of thirty-two bytes, no less"[:32]).decode()


def block(page: str, language: str) -> str:
    """The first fenced block of a language on a page."""
    found = re.search(rf"^```{language}\n(.*?)^```$", (HOW_TO / page).read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, page
    return found[1]


def parsed(slug: str, body: str | bytes) -> AlertEvent:
    source = get_source(slug)
    (event,) = source.parse(body if isinstance(body, bytes) else body.encode(), {}, source.config_model())
    return event


def mustache(template: str, variables: dict[str, str]) -> str:
    """What Kibana makes of it: escaped for JSON, empty where it knows nothing."""
    return re.sub(r"\{\{([\w.]+)\}\}", lambda found: orjson.dumps(variables.get(found[1], "")).decode()[1:-1], template)


KIBANA = {
    "date": "2026-03-02T10:15:00.000Z",
    "rule.id": "5022dba0",
    "rule.name": 'CPU "too" high',
    "rule.spaceId": "default",
    "alert.id": "db-1",
    "alert.uuid": "1f0a7a2e",
    "alert.actionGroup": "metrics.threshold.fired",
    "context.reason": "CPU is 93%\nsince ten",
}


def test_kibanas_body_is_an_alert_of_its_rule_and_ends_with_recovered() -> None:
    template = block("connect-kibana.md", "json")
    firing = parsed("kibana", mustache(template, KIBANA))
    over = mustache(template, {**KIBANA, "alert.actionGroup": "recovered", "alert.uuid": "1f0a7a2e"})
    resolved = parsed("kibana", over)
    assert firing.title == 'CPU "too" high: CPU is 93% since ten'
    assert (firing.status, resolved.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert firing.dedup_key == resolved.dedup_key
    assert firing.raw_severity == "critical"
    assert firing.group == {"rule": 'CPU "too" high', "space": "default"}


def test_uptimerobots_body_is_filled_in_or_left_as_written() -> None:
    variables = {"monitorID": "7", "monitorFriendlyName": "Shop", "alertType": "1", "alertDateTime": "1772446500"}

    def filled(extra: dict[str, str]) -> str:
        known = variables | extra
        return re.sub(
            r"\*(\w+)\*", lambda found: known.get(found[1], found[0]), block("connect-uptimerobot.md", "json")
        )

    firing, resolved = parsed("uptimerobot", filled({})), parsed("uptimerobot", filled({"alertType": "2"}))
    assert firing.title == "Shop is down"
    assert firing.event_time == datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
    assert firing.dedup_key == resolved.dedup_key
    assert resolved.status is AlertStatus.RESOLVED
    assert "*" not in f"{firing.labels}{firing.description}{firing.links}"


def test_what_uptimerobot_sends_besides_is_kept_by_its_name_and_whom_it_told_is_not() -> None:
    sent = {
        "monitorID": "7",
        "monitorFriendlyName": "Shop",
        "alertType": "1",
        "alertDuration": "*alertDuration*",
        "monitorAlertContacts": "457;2;jo@example.com",
        "tags": ["shop", "eu"],
        "httpStatusCode": 503,
        "group": "",
        "dashboardURL": "https://dashboard.uptimerobot.com/monitors/7",
    }
    assert parsed("uptimerobot", orjson.dumps(sent).decode()).annotations == {
        "tags": '["shop","eu"]',
        "httpStatusCode": "503",
        "dashboardURL": "https://dashboard.uptimerobot.com/monitors/7",
    }


def test_dynatraces_payload_is_a_problem_with_its_times() -> None:
    placeholders = {
        "State": "RESOLVED",
        "PID": "-17_V2",
        "ProblemID": "P-17",
        "ProblemTitle": "CPU saturation",
        "ProblemSeverity": "RESOURCE_CONTENTION",
        "ImpactedEntities": '[{"type": "HOST", "name": "db-1", "entity": "HOST-1"}]',
        "ProblemDetailsJSONv2": '{"startTime": 1772446500000, "endTime": 1772446800000}',
    }
    body = re.sub(r"\{(\w+)\}", lambda found: placeholders.get(found[1], ""), block("connect-dynatrace.md", "text"))
    event = parsed("dynatrace", body)
    assert (event.status, event.title) == (AlertStatus.RESOLVED, "CPU saturation on db-1 (P-17)")
    assert event.starts_at == datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
    assert event.ends_at == datetime(2026, 3, 2, 10, 20, tzinfo=UTC)


# The parts of ServiceNow that the script touches, as its API pages describe them.
SERVICENOW = """
var sent = null, warned = [], content = null;
var gs = {
  getProperty: function (name) { return dukpy.properties[name] || null; },
  warn: function (text) { warned.push(text); }
};
var current = {
  operation: function () { return dukpy.operation; },
  getUniqueValue: function () { return dukpy.record.sys_id[0]; },
  getValue: function (name) { return (dukpy.record[name] || [null])[0]; },
  getDisplayValue: function (name) { return (dukpy.record[name] || [null, ''])[1]; }
};
var previous = null;
function GlideCertificateEncryption() {}
GlideCertificateEncryption.prototype.generateMac = function (key, algorithm, data) {
  return call_python('mac', key, algorithm, data);
};
var sn_ws = { RESTMessageV2: function () {
  var request = { headers: {} };
  this.setEndpoint = function (value) { request.endpoint = value; };
  this.setHttpMethod = function (value) { request.method = value; };
  this.setRequestHeader = function (name, value) { request.headers[name] = value; };
  this.setRequestBody = function (value) { request.body = value; };
  this.setHttpTimeout = function (value) { request.timeout = value; };
  this.executeAsync = function () { sent = request; };
} };
"""
RECORD = {
    "sys_id": ["9d385017c611228701d22104cc95c371", ""],
    "sys_mod_count": ["3", "3"],
    "number": ["INC0010042", "INC0010042"],
    "short_description": ["VPN drops: \u00e9t\u00e9 \U0001f6a8", ""],
    "state": ["2", "In Progress"],
    "priority": ["1", "1 - Critical"],
    "assignment_group": ["287ebd7da9fe198100f92cc8d1d2154e", "Network"],
    "opened_at": ["2026-03-02 10:15:00", "02-03-2026 11:15:00"],
    "sys_updated_on": ["2026-03-02 10:20:00", "02-03-2026 11:20:00"],
}


def mac(key: str, algorithm: str, data: str) -> str:
    """CertificateEncryption.generateMac: the key is base64, and so is what it returns."""
    assert algorithm == "HmacSHA256"
    return base64.b64encode(hmac.new(base64.b64decode(key), data.encode(), hashlib.sha256).digest()).decode()


def run_rule(operation: str, record: dict[str, list[str]], properties: dict[str, str]) -> Any:
    """What the business rule sends, and what it warns of."""
    script = block("connect-servicenow.md", "javascript")
    interpreter = dukpy.JSInterpreter()
    interpreter.export_function("mac", mac)
    return interpreter.evaljs(
        [SERVICENOW, script, ";({sent: sent, warned: warned})"],
        operation=operation,
        record=record,
        properties=properties,
    )


PROPERTIES = {
    "tocsin.address": "https://tocsin.example/in/abc",
    "tocsin.secret": SECRET,
    "glide.servlet.uri": "https://example.service-now.com/",
}


@pytest.mark.parametrize(
    ("operation", "state", "status", "event"),
    [
        ("insert", "1", AlertStatus.FIRING, "created"),
        ("update", "2", AlertStatus.FIRING, "updated"),
        ("update", "6", AlertStatus.RESOLVED, "closed"),
        ("update", "8", AlertStatus.RESOLVED, "closed"),
        ("delete", "2", AlertStatus.RESOLVED, "closed"),
    ],
)
def test_servicenows_business_rule_signs_what_is_understood(
    operation: str, state: str, status: AlertStatus, event: str
) -> None:
    outcome = run_rule(operation, {**RECORD, "state": [state, "as people call it"]}, PROPERTIES)
    sent = outcome["sent"]
    assert (sent["endpoint"], sent["method"]) == ("https://tocsin.example/in/abc", "post")
    body = sent["body"].encode("ascii")
    assert isinstance(checked(sent["headers"], body), Verified)
    assert isinstance(checked(sent["headers"], body + b" "), Refused)
    found = parsed("servicenow", body)
    assert found.status is status
    assert found.title == "INC0010042: VPN drops: \u00e9t\u00e9 \U0001f6a8"
    assert get_source("servicenow").severities[found.raw_severity] is Severity.P0
    assert found.event_time == datetime(2026, 3, 2, 10, 20, tzinfo=UTC)
    assert found.labels["assignment_group"] == "Network"
    assert found.ticket is not None
    assert (found.ticket.external_id, found.ticket.event) == ("INC0010042", event)
    assert found.ticket.url.startswith("https://example.service-now.com/nav_to.do?uri=incident.do?sys_id=9d38")


def checked(headers: dict[str, str], body: bytes) -> Verified | Refused:
    """What the intake route makes of it, at the time that the script says it is."""
    profile = get_profile("standard_webhooks")
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    now = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    secret = load_secret(profile, stored_form(profile, SECRET), secret_id="1")
    return verify(
        profile,
        SignedRequest("POST", "/in/abc", b"", raw, body),
        [secret],
        now,
    )


def test_servicenows_business_rule_sends_a_bearer_token_where_the_secret_is_one() -> None:
    outcome = run_rule("update", RECORD, {**PROPERTIES, "tocsin.secret": "tk_5sQ0bX9wYc2LrV7e"})
    assert outcome["sent"]["headers"] == {
        "Content-Type": "application/json",
        "Authorization": "Bearer tk_5sQ0bX9wYc2LrV7e",
    }


def test_servicenows_business_rule_says_what_is_not_set() -> None:
    outcome = run_rule("insert", RECORD, {})
    assert outcome["sent"] is None
    assert outcome["warned"] == ["tocsin: tocsin.address or tocsin.secret is not set"]
