"""UptimeRobot's webhooks, with its default variables: as a form, or as JSON where that is chosen.

Source: help.uptimerobot.com, "Webhook Integration", read 2026-11. ``monitorID``, ``monitorURL``,
``monitorFriendlyName``, ``alertType`` (1 down, 2 up, 3 a certificate or domain that expires), ``alertTypeFriendlyName``,
``alertDetails``, ``alertDuration`` (seconds, with an up), ``alertDateTime`` (seconds since 1970), ``sslExpiryDate`` and
``sslExpiryDaysLeft``. A body of the user's own may rename them; the one to paste is in docs/how-to/connect-uptimerobot.md.
Whatever else comes along, the rich variables (dashboard, regions, tags, group) among it, becomes an annotation of its own
name, as the vendor adds to them; only whom UptimeRobot told is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import (
    COMMON_SEVERITIES,
    FORM,
    AlertSource,
    NoConfig,
    ParseError,
    load_form_or_object,
)
from app.ingest.rules import fields, values

_KINDS = {
    "1": "down",
    "down": "down",
    "2": "up",
    "up": "up",
    "3": "expiry",
    "ssl expiry": "expiry",
    "domain expiry": "expiry",
}

_KNOWN = frozenset(
    {"monitorID", "monitorURL", "monitorFriendlyName", "monitorAlertContacts", "alertType", "alertTypeFriendlyName"}
    | {"alertDetails", "alertDuration", "alertFriendlyDuration", "alertDateTime", "sslExpiryDate", "sslExpiryDaysLeft"}
)


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the monitor's one event.

    Raises:
        ParseError: Neither form nor JSON object, or no monitor in it.
    """
    payload = {name: value for name, value in load_form_or_object(body).items() if not _is_unset(value)}
    monitor = fields.text_of(payload.get("monitorID"), limit=4096)
    if not monitor:
        raise ParseError("body.unexpected_shape", "monitorID is missing: send the default variables, or the template")
    said = fields.text_at(payload, "alertType", "alertTypeFriendlyName")
    kind = _KINDS.get(said.lower()) or _KINDS.get(fields.text_at(payload, "alertTypeFriendlyName").lower())
    warnings = [] if kind else [f"alertType {said[:40]!r} is not known: taken as down"]
    status = AlertStatus.RESOLVED if kind == "up" else AlertStatus.FIRING
    at = values.parse_time(payload.get("alertDateTime"))
    name = fields.text_at(payload, "monitorFriendlyName", "monitorURL") or f"Monitor {monitor}"
    return [
        AlertEvent(
            # A certificate's expiry has no end of its own: kept apart, an outage cannot hide it, nor an "up" end it.
            dedup_key=f"monitor:{monitor}:expiry" if kind == "expiry" else f"monitor:{monitor}",
            status=status,
            title=values.one_line(_title(name, kind or "down", payload)),
            description=_description(kind or "down", payload),
            raw_severity=kind or "down",
            event_time=at,
            starts_at=at if status is AlertStatus.FIRING else None,
            ends_at=at if status is AlertStatus.RESOLVED else None,
            labels=fields.said(
                {
                    "alertname": name,
                    "monitor": monitor[: values.LABEL_VALUE_MAX],
                    "url": fields.text_at(payload, "monitorURL"),
                    "kind": kind or "down",
                }
            ),
            annotations=fields.others(payload, _KNOWN),
            links=values.links(("Checked page", payload.get("monitorURL"))),
            warnings=fields.bounded(warnings),
        )
    ]


def _is_unset(value: object) -> bool:
    """A variable that the monitor does not have arrives as it was written, ``*alertDuration*``."""
    return isinstance(value, str) and len(value) > 2 and value[0] == value[-1] == "*" and value[1:-1].isalnum()


def _title(name: str, kind: str, payload: Mapping[str, Any]) -> str:
    what = fields.text_at(payload, "alertDetails")
    if kind == "expiry":
        thing = "domain" if "domain" in fields.text_at(payload, "alertTypeFriendlyName").lower() else "certificate"
        days = fields.text_at(payload, "sslExpiryDaysLeft")
        return f"{name}: {thing} expires in {days} days" if days else f"{name}: {thing} expires soon"
    return f"{name} is {kind}: {what}" if what and kind == "down" else f"{name} is {kind}"


def _description(kind: str, payload: Mapping[str, Any]) -> str:
    parts = [fields.prose_at(payload, "alertDetails")]
    duration = fields.text_at(payload, "alertFriendlyDuration", "alertDuration")
    if kind == "up" and duration:
        parts.append(f"It was down for {duration}{' seconds' if duration.isdigit() else ''}.")
    if kind == "expiry" and (expires := values.parse_time(payload.get("sslExpiryDate"))) is not None:
        parts.append(f"The certificate expires on {expires:%Y-%m-%d}.")
    return fields.description_of(parts, between="\n\n")


SOURCE = AlertSource(
    slug="uptimerobot",
    title="UptimeRobot",
    profile="url_secret",
    parse=parse,
    severities={**COMMON_SEVERITIES, "down": Severity.P1, "up": Severity.P3, "expiry": Severity.P2},
    example={
        "monitorID": "1",
        "monitorFriendlyName": "A first monitor",
        "monitorURL": "https://example.com/",
        "alertType": "1",
        "alertDetails": "HTTP 503 - Service Unavailable",
    },
    example_type="application/x-www-form-urlencoded",
    content_types=(FORM,),
    document="https://help.uptimerobot.com/en/articles/14498593-webhook-integration",
    document_date="2026-11",
    setup="Under Integrations add a webhook with the whole address, secret included, as its URL, and have the default "
    "variables sent as JSON or as POST parameters, not as a query string. For a body of your own, and to have the secret "
    "in a header (profile header_token), see docs/how-to/connect-uptimerobot.md.",
)
