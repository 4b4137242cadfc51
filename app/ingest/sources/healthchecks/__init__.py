"""Healthchecks.io (and self-hosted Healthchecks): a check that went down or came back, as its webhook integration sends it.

Source: Healthchecks, "Add Webhook Integration" with its list of placeholders, and ``hc/integrations/webhook`` of v3,
read 2026-11. The administrator writes the request body; this one serves "down" and "up" alike::

    {"code": "$CODE", "name": $NAME_JSON, "slug": "$SLUG", "status": "$STATUS", "now": "$NOW",
     "tags": "$TAGS", "exit_status": "$EXITSTATUS", "body": $BODY_JSON}

``$JSON`` is read as well, but holds the check's ping address, which is a secret of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, prose_at, said, text_at

_TAGS_MAX = 50


class HealthchecksConfig(BaseModel):
    """What a tenant may set for a Healthchecks source.

    Attributes:
        web_url: Where its users open it, for the link to the check.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    web_url: str = Field("https://healthchecks.io", max_length=500)


def parse(body: bytes, headers: Mapping[str, str], config: HealthchecksConfig) -> list[AlertEvent]:
    """This will return the one event of the check, none for the integration's test.

    Raises:
        ParseError: No JSON object, or one without the check's code and status.
    """
    check = load_object(body)
    code, status = text_at(check, "code", "uuid", limit=200), text_at(check, "status", limit=40).lower()
    if not code or not status or code.startswith("$") or status.startswith("$"):
        raise ParseError("body.unexpected_shape", 'send "code": "$CODE" and "status": "$STATUS" in the request body')
    name = text_at(check, "name", limit=values.TITLE_MAX - 20)
    if name == "TEST" and not text_at(check, "slug"):
        return Events(notes=["a test: no alert"])
    warnings = [] if status in ("up", "down") else [f"status {status!r} is neither up nor down: taken as down"]
    at = values.parse_time(check.get("now"))
    if at is None:
        warnings.append("no usable time: the time of delivery counts")
    over = status == "up"
    tags = text_at(check, "tags").split()[:_TAGS_MAX]
    return [
        AlertEvent(
            dedup_key=f"check:{code}",
            status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
            title=f"{name or code} is {'up' if over else 'down'}",
            description=_description(check),
            raw_severity=_severity(tags) or "down",
            event_time=at,
            starts_at=None if over else at,
            ends_at=at if over else None,
            labels=_pairs(tags)
            | said({"alertname": name or code, "slug": text_at(check, "slug"), "tags": " ".join(tags)}),
            links=values.links(("Check", f"{config.web_url.rstrip('/')}/checks/{code}/details/")),
            warnings=bounded(warnings),
        )
    ]


def _severity(tags: list[str]) -> str:
    """This will return the severity that a tag names, as ``critical``, ``p1`` or ``severity:high``."""
    return next((word for word in (tag.rpartition(":")[2].lower() for tag in tags) if word in COMMON_SEVERITIES), "")


def _pairs(tags: list[str]) -> dict[str, str]:
    """This will return the tags of the form ``team:shop`` as labels."""
    split = (tag.partition(":") for tag in tags)
    return {name: value for name, _, value in split if name and value}


def _description(check: Mapping[str, Any]) -> str:
    exit_status = text_at(check, "exit_status", limit=20)
    parts = [
        prose_at(check, "desc"),
        f"Exit status of the last run: {exit_status}" if exit_status not in ("", "-1", "$EXITSTATUS") else "",
        prose_at(check, "body"),
    ]
    return description_of(parts)


SOURCE = AlertSource(
    slug="healthchecks",
    title="Healthchecks.io",
    profile="bearer",
    config_model=HealthchecksConfig,
    parse=parse,
    severities={**COMMON_SEVERITIES, "down": Severity.P1},
    example={
        "code": "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278",
        "name": "Nightly backup",
        "slug": "nightly-backup",
        "status": "down",
        "now": "2026-01-05T12:00:00+00:00",
        "tags": "prod team:storage",
        "exit_status": "1",
        "body": "",
    },
    document="https://healthchecks.io/docs/configuring_notifications/",
    document_date="2026-11-21",
    setup="Under Integrations add a Webhook. For down and for up alike: POST to the address, request header Authorization: "
    'Bearer <secret> and Content-Type: application/json, request body {"code": "$CODE", "name": $NAME_JSON, "slug": '
    '"$SLUG", "status": "$STATUS", "now": "$NOW", "tags": "$TAGS", "exit_status": "$EXITSTATUS", "body": $BODY_JSON}. '
    "A tag such as severity:high sets the severity.",
)
