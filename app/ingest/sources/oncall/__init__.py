"""Senders that were made for Grafana OnCall's formatted webhook.

Source: grafana.com, "Inbound Webhook for Grafana OnCall" and "Configure OnCall incoming webhooks", read 2026-11. The
fields are ``alert_uid``, ``title``, ``image_url``, ``state`` (``alerting`` or ``ok``), ``link_to_upstream_details`` and
``message``; none is required and others may come along. The address holds the integration's token.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import AlertSource, NoConfig, ParseError, SenderKey, load_object
from app.ingest.rules import fields, values

_STATES = {
    "alerting": AlertStatus.FIRING,
    "firing": AlertStatus.FIRING,
    "ok": AlertStatus.RESOLVED,
    "resolved": AlertStatus.RESOLVED,
    "acknowledged": AlertStatus.ACKNOWLEDGED,
}
_FIELDS = ("alert_uid", "title", "image_url", "state", "link_to_upstream_details", "message")
_TOKEN_CHARS = 40


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event; what says no state is an alert.

    Raises:
        ParseError: No JSON object, or none of the fields in it.
    """
    payload = load_object(body)
    if not any(fields.text_of(payload.get(name)) for name in _FIELDS):
        raise ParseError("body.unexpected_shape", f"none of the fields is there: {', '.join(_FIELDS)}")
    said = fields.text_at(payload, "state").lower()
    status = _STATES.get(said, AlertStatus.FIRING)
    warnings = () if said in _STATES or not said else (f"state {said[:40]!r} is not known: taken as alerting",)
    message = fields.prose_at(payload, "message")
    uid = fields.text_at(payload, "alert_uid", limit=4096)
    title = fields.text_at(payload, "title", limit=values.TITLE_MAX) or values.one_line(message) or _untitled(uid)
    return [
        AlertEvent(
            dedup_key=uid or title,
            status=status,
            title=title,
            description=message,
            raw_severity=fields.text_at(payload, "severity", "priority"),
            annotations=fields.others(payload, _FIELDS),
            links=values.links(
                ("Upstream", payload.get("link_to_upstream_details")), ("Image", payload.get("image_url"))
            ),
            warnings=warnings,
        )
    ]


def _untitled(uid: str) -> str:
    return values.one_line(f"Alert {uid}".strip(), limit=values.TITLE_MAX)


SOURCE = AlertSource(
    slug="oncall",
    title="Senders made for Grafana OnCall (formatted webhook)",
    profile="bearer",  # behind /in/; where OnCall's own paths are used, the token in the address proves the sender
    parse=parse,
    example={
        "alert_uid": "tocsin-test",
        "title": "A first alert",
        "state": "alerting",
        "message": "From Tocsin's docs",
    },
    document="https://grafana.com/docs/oncall/latest/configure/integrations/references/webhook/",
    document_date="2026-11",
    setup="Put https://<Tocsin's public URL>/integrations/v1/formatted_webhook/<secret>/ where the sender has OnCall's "
    "address, the source's secret in the place of the token; or send to the source's own address with the secret as "
    "bearer token.",
    key=SenderKey(
        make=lambda: secrets.token_hex(_TOKEN_CHARS // 2),
        pattern=re.compile(r"[A-Za-z0-9_-]{24,128}"),
        says="24 to 128 letters, digits, - and _",
    ),
)
