"""Wazuh: one alert of the manager, as a custom integration of its Integrator daemon sends it.

Source: Wazuh, "Integration with external APIs" and "Rules classification" (levels 0 to 15), read 2026-11. The Integrator
hands the alert as JSON to a program, which sends it; the one for here is in ``docs/how-to/connect-wazuh.md``. Fields:
``id``, ``timestamp``, ``rule`` (``id``, ``level``, ``description``, ``groups``, ``mitre``), ``agent``, ``manager``,
``decoder``, ``location``, ``full_log``, ``data``, ``syscheck``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, compound_key, description_of, object_at, prose_at, said, text_at, texts_at

_RESOLVE_TIMEOUT_S = 86_400
_LEVELS = {
    **{str(level): Severity.P3 for level in range(7)},
    **{str(level): Severity.P2 for level in range(7, 12)},
    **{str(level): Severity.P1 for level in range(12, 15)},
    # 15 is "severe attack, immediate attention"; 16 exists in filters only.
    "15": Severity.P0,
    "16": Severity.P0,
}


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the one event of the alert.

    Raises:
        ParseError: No JSON object, or one without a rule.
    """
    alert = load_object(body)
    rule, agent = object_at(alert, "rule"), object_at(alert, "agent")
    rule_id, description = text_at(rule, "id", limit=60), text_at(rule, "description", limit=400)
    if not rule_id and not description:
        raise ParseError("body.unexpected_shape", "no alert of Wazuh: 'rule.id' is needed; set alert_format to json")
    warnings: list[str] = []
    at = values.parse_time(alert.get("timestamp"))
    if at is None:
        warnings.append("no usable timestamp: the time of delivery counts")
    level = text_at(rule, "level", limit=10)
    if level not in _LEVELS:
        warnings.append("no rule level from 0 to 16")
    name = text_at(agent, "name", limit=90) or text_at(object_at(alert, "manager"), "name", limit=90)
    title = description or f"Wazuh rule {rule_id}"
    return [
        AlertEvent(
            dedup_key=compound_key("rule", rule_id or description, text_at(agent, "id", "name", limit=200)),
            status=AlertStatus.FIRING,
            title=f"{title.rstrip('.')} on {name}" if name else title,
            description=_description(alert, rule),
            raw_severity=level,
            event_time=at,
            starts_at=at,
            labels=_labels(alert, rule, agent),
            annotations=said({"alert_id": text_at(alert, "id"), "fired_times": text_at(rule, "firedtimes")}),
            warnings=bounded(warnings),
        )
    ]


def _labels(alert: Mapping[str, Any], rule: Mapping[str, Any], agent: Mapping[str, Any]) -> dict[str, str]:
    data, mitre = object_at(alert, "data"), object_at(rule, "mitre")
    return said(
        {
            "alertname": text_at(rule, "description").rstrip(".") or text_at(rule, "id"),
            "rule_id": text_at(rule, "id"),
            "rule_groups": ",".join(texts_at(rule, "groups")),
            "agent": text_at(agent, "name"),
            "agent_id": text_at(agent, "id"),
            "agent_ip": text_at(agent, "ip"),
            "manager": text_at(object_at(alert, "manager"), "name"),
            "decoder": text_at(object_at(alert, "decoder"), "name"),
            "location": text_at(alert, "location"),
            "source_ip": text_at(data, "srcip", "src_ip"),
            "user": text_at(data, "dstuser", "srcuser"),
            "file": text_at(object_at(alert, "syscheck"), "path"),
            "mitre_technique": ",".join(texts_at(mitre, "technique")),
            "mitre_id": ",".join(texts_at(mitre, "id")),
        }
    )


def _description(alert: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    tactics = ", ".join(texts_at(object_at(rule, "mitre"), "tactic"))
    syscheck = object_at(alert, "syscheck")
    changed = " ".join(part for part in (text_at(syscheck, "event"), text_at(syscheck, "path")) if part)
    parts = [
        f"Rule {text_at(rule, 'id', limit=60)}, level {text_at(rule, 'level', limit=10)}",
        f"Tactics: {tactics}" if tactics else "",
        changed,
        prose_at(alert, "full_log"),
    ]
    return description_of(parts)


SOURCE = AlertSource(
    slug="wazuh",
    title="Wazuh",
    profile="standard_webhooks",
    parse=parse,
    severities={**COMMON_SEVERITIES, **_LEVELS},
    resolve_timeout_s=_RESOLVE_TIMEOUT_S,
    example={
        "timestamp": "2026-01-05T12:00:00.000+0000",
        "id": "1767614400.1001",
        "rule": {
            "id": "5712",
            "level": 10,
            "description": "sshd: brute force trying to get access to the system.",
            "groups": ["syslog", "sshd", "authentication_failures"],
            "firedtimes": 1,
        },
        "agent": {"id": "003", "name": "web-1", "ip": "192.0.2.10"},
        "manager": {"name": "wazuh-manager"},
        "decoder": {"name": "sshd"},
        "location": "/var/log/auth.log",
        "full_log": "Jan  5 12:00:00 web-1 sshd[4821]: Failed password for root from 198.51.100.7 port 40022 ssh2",
        "data": {"srcip": "198.51.100.7"},
    },
    document="https://documentation.wazuh.com/current/user-manual/manager/integration-with-external-apis.html",
    document_date="2026-11-21",
    setup="Copy the integration of docs/how-to/connect-wazuh.md to /var/ossec/integrations/custom-tocsin, name it in "
    "ossec.conf with the address as hook_url, the secret as api_key and alert_format json, and restart the manager. It signs "
    "each alert. Wazuh never says that something is over: an alert not seen for a day is resolved.",
)
