"""LibreNMS: an alert, as its API transport sends it.

Source: LibreNMS, "API Transport" and "Templates", and ``LibreNMS/Alert/Transport/Api.php``, read 2026-11. The
administrator writes the body. Values go into it as they are: a quote in a device's description breaks JSON, so the body
for here is lines. What devices say of themselves comes last, and of a name that comes twice the first line counts, so
that a device cannot say for another line what it is::

    alert_id: {{ $alert_id }}
    uid: {{ $uid }}
    device_id: {{ $device_id }}
    rule_id: {{ $rule_id }}
    state: {{ $state }}
    severity: {{ $severity }}
    timestamp: {{ $timestamp }}
    name: {{ $name }}
    proc: {{ $proc }}
    hostname: {{ $hostname }}
    ip: {{ $ip }}
    os: {{ $os }}
    type: {{ $type }}
    title: {{ $title }}
    sysName: {{ $sysName }}
    hardware: {{ $hardware }}
    location: {{ $location }}
    msg: {{ $msg }}

The same names as JSON are read as well. ``state`` is 0 recovered, 1 alert, 2 acknowledged, 3 worse, 4 better, 5 changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, compound_key, description_of, prose_at, said, text_at

_LINE = re.compile(r"([A-Za-z_]{1,40}):[ \t]?(.*)")
_LAST = "msg"
_RECOVERED, _ACKNOWLEDGED = "0", "2"
_TEST_UID = "000"
_STATES = {"1": "alert", "2": "acknowledged", "3": "worse", "4": "better", "5": "changed"}


class LibrenmsConfig(BaseModel):
    """What a tenant may set for a LibreNMS source.

    Attributes:
        timezone: Of the times that LibreNMS writes, such as Europe/Berlin: they name none. Without it the time of
            delivery counts.
        web_url: Where its users open it, for the link to the device.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: str = Field("", max_length=60)
    web_url: str = Field("", max_length=500)

    @field_validator("timezone")
    @classmethod
    def _exists(cls, name: str) -> str:
        if name and name not in available_timezones():
            raise ValueError(f"there is no time zone {name!r}")
        return name


def parse(body: bytes, headers: Mapping[str, str], config: LibrenmsConfig) -> list[AlertEvent]:
    """This will return the one event of the alert, none for the test of a transport.

    Raises:
        ParseError: Neither lines nor a JSON object, or without what identifies the alert.
    """
    alert = load_object(body) if body.lstrip()[:1] in (b"{", b"[") else _lines(body)
    if text_at(alert, "uid") == _TEST_UID:
        return Events(notes=["a test: no alert"])
    key, state = _dedup_key(alert), text_at(alert, "state", limit=20)
    if not key or not state:
        raise ParseError("body.unexpected_shape", "no alert of LibreNMS: 'state' and 'alert_id' are needed")
    warnings: list[str] = []
    over = state == _RECOVERED
    if not over and state not in _STATES:
        warnings.append(f"state {state!r} is not known: taken as firing")
    at = _time(alert.get("timestamp"), config)
    return [
        AlertEvent(
            dedup_key=key,
            status=_status(state),
            title=_title(alert),
            description=_description(alert, state),
            raw_severity=text_at(alert, "severity", limit=40),
            event_time=at,
            starts_at=None if over else at,
            ends_at=at if over else None,
            labels=_labels(alert),
            annotations=said({"uid": text_at(alert, "uid"), "state": _STATES.get(state, "")}),
            links=_links(alert, config),
            warnings=bounded(warnings),
        )
    ]


def _status(state: str) -> AlertStatus:
    if state == _RECOVERED:
        return AlertStatus.RESOLVED
    return AlertStatus.ACKNOWLEDGED if state == _ACKNOWLEDGED else AlertStatus.FIRING


def _lines(body: bytes) -> dict[str, Any]:
    """This will read ``name: value`` lines; the message is last and takes the rest, line breaks and all."""
    found: dict[str, Any] = {}
    lines = body.decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines):
        parts = _LINE.match(line)
        if parts is None:
            continue
        name, value = parts.groups()
        if name == _LAST:
            found.setdefault(name, "\n".join([value, *lines[number + 1 :]]))
            break
        found.setdefault(name, value)
    return found


def _dedup_key(alert: Mapping[str, Any]) -> str:
    """This will return what a rule's alert of a device keeps from firing to recovery; the uid is new each time."""
    identity = text_at(alert, "alert_id", limit=100)
    if identity:
        return f"alert:{identity}"
    device, rule = text_at(alert, "device_id", "hostname"), text_at(alert, "rule_id", "name")
    return compound_key("device-rule", device, rule) if device and rule else ""


def _time(value: object, config: LibrenmsConfig) -> datetime | None:
    """This will return the time of an alert, if it can be known: a time without a zone may be hours off."""
    if not isinstance(value, str):
        return values.parse_time(value)
    try:
        written = datetime.fromisoformat(value.strip())
        if written.tzinfo is None and not config.timezone:
            return None
        known = written if written.tzinfo is not None else written.replace(tzinfo=ZoneInfo(config.timezone))
        return values.parse_time(known.isoformat())
    except (OverflowError, ValueError):
        return None


def _title(alert: Mapping[str, Any]) -> str:
    rule, device = text_at(alert, "name", limit=250), text_at(alert, "sysName", "hostname", limit=200)
    if rule and device:
        return f"{rule} on {device}"
    return text_at(alert, "title", limit=values.TITLE_MAX) or rule or device or "LibreNMS alert"


def _labels(alert: Mapping[str, Any]) -> dict[str, str]:
    return said(
        {
            "alertname": text_at(alert, "name"),
            "host": text_at(alert, "hostname"),
            "device_id": text_at(alert, "device_id"),
            "sys_name": text_at(alert, "sysName"),
            "ip": text_at(alert, "ip"),
            "os": text_at(alert, "os"),
            "device_type": text_at(alert, "type"),
            "hardware": text_at(alert, "hardware"),
            "location": text_at(alert, "location"),
        }
    )


def _description(alert: Mapping[str, Any], state: str) -> str:
    said_state = _STATES.get(state, "")
    parts = [
        f"State: {said_state}" if said_state not in ("", "alert") else "",
        prose_at(alert, "msg") or text_at(alert, "title"),
    ]
    return description_of(parts)


def _links(alert: Mapping[str, Any], config: LibrenmsConfig) -> tuple[Any, ...]:
    device = text_at(alert, "device_id", limit=20)
    page = f"{config.web_url.rstrip('/')}/device/{device}" if config.web_url and device.isdigit() else ""
    return values.links(("Procedure", alert.get("proc")), ("Device", page))


SOURCE = AlertSource(
    slug="librenms",
    title="LibreNMS",
    profile="bearer",
    config_model=LibrenmsConfig,
    parse=parse,
    severities={**COMMON_SEVERITIES, "ok": Severity.P3},
    content_types=("text/plain",),
    example={
        "alert_id": "42",
        "uid": "9001",
        "device_id": "7",
        "rule_id": "3",
        "state": "1",
        "severity": "critical",
        "timestamp": "2026-01-05 12:00:00",
        "name": "Device down (SNMP unreachable)",
        "hostname": "sw1.example.com",
        "ip": "192.0.2.1",
        "os": "ios",
        "title": "Alert for device sw1.example.com - Device down (SNMP unreachable)",
        "sysName": "sw1",
        "msg": "Severity: critical",
    },
    document="https://docs.librenms.org/Alerting/Transports/Api/",
    document_date="2026-11-21",
    setup="Under Alerts > Alert Transports add one of type API: method POST, the address as API URL, the header "
    "Authorization=Bearer <secret>, and as body one line each: alert_id: {{ $alert_id }}, and likewise uid, device_id, "
    "rule_id, state, severity, timestamp, name, proc, hostname, ip, os, type, title, sysName, hardware, location, and msg as "
    "the last. LibreNMS writes times without a zone: name it in the setting timezone.",
)
