"""Datadog's webhooks integration, with the payload that Tocsin asks for, or with Datadog's default one.

Source: Datadog documentation, "Webhooks" (variables), read 2026-11. The payload is a template of ``$`` variables; the
one to enter is ``PAYLOAD`` below. Datadog's default has only ``id``, ``title``, ``body``, ``date``, ``last_updated``,
``event_type`` and ``org``: the state is then read from the title's ``[Triggered]`` or ``[Recovered]``, and what is left
of the title is the alert's key. A variable that Datadog does not fill arrives as it was written, or as ``null``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, compound_key, prose_at, said, text_of
from app.ingest.rules.severities import P1_TO_P5

PAYLOAD = (
    '{"alert_id": "$ALERT_ID", "alert_cycle_key": "$ALERT_CYCLE_KEY", "aggreg_key": "$AGGREG_KEY",'
    ' "alert_title": "$ALERT_TITLE", "alert_transition": "$ALERT_TRANSITION", "alert_type": "$ALERT_TYPE",'
    ' "alert_priority": "$ALERT_PRIORITY", "alert_scope": "$ALERT_SCOPE", "alert_metric": "$ALERT_METRIC",'
    ' "alert_query": "$ALERT_QUERY", "alert_status": "$ALERT_STATUS", "id": "$ID", "event_type": "$EVENT_TYPE",'
    ' "event_title": "$EVENT_TITLE", "event_msg": "$TEXT_ONLY_MSG", "date": "$DATE", "link": "$LINK",'
    ' "snapshot": "$SNAPSHOT", "hostname": "$HOSTNAME", "tags": "$TAGS", "org": "$ORG_NAME"}'
)
_VARIABLE = re.compile(r"\$[A-Z][A-Z_]*(?:\[[^\]]*\])?")
_TITLE_STATE = re.compile(
    r"(?:\[P[1-5]\] *)?\[((?:Re-?)?(?:Triggered|Warn|No Data|Recovered|Renotify))(?: on ([^\]]*))?\] *(.*)",
    re.IGNORECASE | re.DOTALL,
)
# In a monitor's message: the marks around its Markdown, and whom it is sent to.
_NO_PROSE = re.compile(r"%%%|@(?:webhook|slack|pagerduty|teams|opsgenie)-[\w.-]+")
_TAGS_MAX = 50


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the monitor's notification.

    Raises:
        ParseError: No object, or neither a title nor the id of a monitor in it.
    """
    payload = {name: value for name, value in load_object(body).items() if not _is_unset(value)}
    warnings: list[str] = []
    stated, scope, name = _from_title(payload)
    monitor = _text(payload, "alert_id")
    if not name and not monitor:
        raise ParseError("body.unexpected_shape", "neither a title nor 'alert_id': enter the payload of the setup")
    transition = (_text(payload, "alert_transition") or stated).lower()
    if not transition:
        warnings.append("neither 'alert_transition' nor a title that tells the state: taken as triggered")
    status = AlertStatus.RESOLVED if transition == "recovered" else AlertStatus.FIRING
    scope = _text(payload, "alert_scope") or scope
    happened_at = values.parse_time(payload.get("date"))
    over = status is AlertStatus.RESOLVED
    return [
        AlertEvent(
            dedup_key=_dedup_key(payload, monitor, name, scope, warnings),
            status=status,
            title=_title(name or f"Monitor {monitor}", scope, transition),
            description=_NO_PROSE.sub("", prose_at(payload, "event_msg", "body", "alert_status")).strip(),
            raw_severity=_severity(payload, transition),
            event_time=happened_at,
            starts_at=None if over else happened_at,
            ends_at=happened_at if over else None,
            labels=_labels(payload, name, monitor, scope),
            annotations=said({key: _text(payload, key) for key in ("alert_query", "alert_status")}),
            links=values.links(("Event", payload.get("link")), ("Picture", payload.get("snapshot"))),
            group=said({"monitor": monitor or name, "scope": scope}),
            warnings=bounded(warnings),
        )
    ]


def _is_unset(value: object) -> bool:
    return isinstance(value, str) and (value in {"", "null"} or _VARIABLE.fullmatch(value.strip()) is not None)


def _text(payload: Mapping[str, Any], name: str) -> str:
    return text_of(payload.get(name))


def _from_title(payload: Mapping[str, Any]) -> tuple[str, str, str]:
    """The state, the scope and the name in titles such as ``[P1] [Triggered on {host:a}] CPU is high``."""
    stated, scope, name = "", "", ""
    for title in (_text(payload, key) for key in ("alert_title", "event_title", "title")):
        found = _TITLE_STATE.match(title)
        stated, scope = (found[1], (found[2] or "").strip("{} ")) if found and not stated else (stated, scope)
        name = name or (found[3] if found else title)
    return stated, scope, name


def _dedup_key(payload: Mapping[str, Any], monitor: str, name: str, scope: str, warnings: list[str]) -> str:
    cycle = _text(payload, "alert_cycle_key")
    if cycle:
        return f"cycle:{cycle}"
    if monitor:
        return compound_key("monitor", monitor, scope)
    warnings.append("no 'alert_cycle_key': the title tells one alert from another; enter the payload of the setup")
    return compound_key("title", name, scope)


def _title(name: str, scope: str, transition: str) -> str:
    told = f"No data: {name}" if transition.endswith("no data") else name
    known = not scope or scope == "*" or all(part.split(":")[-1].strip() in told for part in scope.split(","))
    return values.one_line(told if known else f"{told} on {scope}")


def _severity(payload: Mapping[str, Any], transition: str) -> str:
    if transition.endswith("warn"):
        return "warning"
    return _text(payload, "alert_priority") or ("no data" if transition.endswith("no data") else "") or _type(payload)


def _type(payload: Mapping[str, Any]) -> str:
    return _text(payload, "alert_type").lower()


def _labels(payload: Mapping[str, Any], name: str, monitor: str, scope: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in text_of(payload.get("tags"), limit=8192).split(",")[:_TAGS_MAX]:
        key, colon, value = tag.strip().partition(":")
        if colon and key and value:
            found[key] = f"{found[key]}, {value}" if key in found else value
    found |= {
        "alertname": name,
        "monitor": monitor,
        "scope": scope,
        "metric": _text(payload, "alert_metric"),
        "hostname": _text(payload, "hostname"),
        "event_type": _text(payload, "event_type"),
    }
    return values.clean_mapping(said(found))


SOURCE = AlertSource(
    slug="datadog",
    title="Datadog",
    profile="header_token",
    parse=parse,
    # Warn and no data are states of a monitor, the rest besides its priorities are types of alerts.
    severities={**COMMON_SEVERITIES, **P1_TO_P5, "no data": Severity.P2, "success": Severity.P3},
    document="https://docs.datadoghq.com/integrations/webhooks/",
    document_date="2026-11",
    setup="Under Integrations > Webhooks add a webhook with the address, the secret as a custom header, and this "
    f"payload: {PAYLOAD} Then name @webhook-<its name> in the message of your monitors, recoveries included.",
    example={
        "alert_id": "1",
        "alert_cycle_key": "1",
        "alert_title": "A first alert from Datadog",
        "alert_transition": "Triggered",
        "alert_type": "info",
        "event_title": "[Triggered] A first alert from Datadog",
        "date": "1767614400000",
        "tags": "monitor, env:test",
    },
)
