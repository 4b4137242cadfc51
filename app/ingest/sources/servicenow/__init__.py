"""ServiceNow incidents, as the business rule of docs/how-to/connect-servicenow.md sends them.

ServiceNow has no webhook of its own: a business rule sends a REST message, and its script decides what is in it. A field
is text, or an object with ``value`` and ``display_value`` as the Table API gives them; the record is the body itself, or
under ``incident``, ``record`` or ``result``. Times are UTC, as ``getValue`` returns them.
Source: docs.servicenow.com, "Table API" (``sysparm_display_value``), "Incident management states" (1 new, 2 in progress, 3 on
hold, 6 resolved, 7 closed, 8 cancelled) and "Incident priority" (1 critical to 5 planning), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import AlertEvent, AlertStatus, Severity, TicketRef
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, ParseError, load_object
from app.ingest.rules import fields, values
from app.ingest.rules.severities import FROM_ONE_TO_FIVE

_EVENTS = {
    **dict.fromkeys(("created", "insert", "inserted", "new"), "created"),
    **dict.fromkeys(("updated", "update"), "updated"),
    **dict.fromkeys(("closed", "resolved", "deleted", "delete", "cancelled", "canceled"), "closed"),
}
_LABELS = (
    *("state", "priority", "impact", "urgency", "category", "subcategory", "assignment_group", "assigned_to"),
    *("cmdb_ci", "business_service", "service_offering", "location", "company", "contact_type"),
)


class ServiceNowConfig(BaseModel):
    """What a tenant may set for a ServiceNow source.

    Attributes:
        web_url: The instance, ``https://example.service-now.com``; for the link where the payload has none.
        closed_states: Values and names of states that end an incident, lower case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    web_url: str = Field("", max_length=500)
    closed_states: Annotated[tuple[str, ...], Field(max_length=20)] = (
        *("6", "7", "8"),
        *("resolved", "closed", "canceled", "cancelled"),
    )


def parse(body: bytes, headers: Mapping[str, str], config: ServiceNowConfig) -> list[AlertEvent]:
    """This will return the incident's one event.

    Raises:
        ParseError: No JSON object, or neither sys_id nor number in it.
    """
    payload = load_object(body)
    record = _record_of(payload)
    number, sys_id = _value(record.get("number")), _value(record.get("sys_id"))
    if not number and not sys_id:
        raise ParseError("body.unexpected_shape", "the incident has neither sys_id nor number")
    warnings: list[str] = []
    event = _event_name(payload, record, config, warnings)
    is_over = event == "closed"
    summary = _display(record.get("short_description"))
    url = _url(payload, record, config, sys_id)
    return [
        AlertEvent(
            dedup_key=f"incident:{sys_id or number}",
            status=AlertStatus.RESOLVED if is_over else AlertStatus.FIRING,
            title=values.one_line(
                f"{number}: {summary}" if number and summary else summary or f"Incident {number or sys_id}"
            ),
            description=_prose(record.get("description")),
            raw_severity=_priority(record),
            event_time=_time(record, "sys_updated_on", "sys_created_on", "opened_at"),
            starts_at=_time(record, "opened_at", "sys_created_on"),
            ends_at=_time(record, "resolved_at", "closed_at", "sys_updated_on") if is_over else None,
            labels=fields.said({name: _display(record.get(name)) for name in _LABELS}),
            annotations=_annotations(record),
            links=values.links(("Incident", url)),
            ticket=TicketRef(
                system="servicenow",
                external_id=(number or sys_id)[:200],
                url=url,
                requester=_display(record.get("caller_id")) or _display(record.get("opened_by")),
                event=event,
            ),
            warnings=fields.bounded(warnings),
        )
    ]


def _annotations(record: Mapping[str, Any]) -> dict[str, str]:
    notes = values.clean_text(_prose(record.get("close_notes")), limit=values.ANNOTATION_MAX)
    return fields.said({"close_code": _display(record.get("close_code")), "close_notes": notes})


def _record_of(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(
        (payload[name] for name in ("incident", "record", "result") if isinstance(payload.get(name), dict)), payload
    )


def _value(field: object) -> str:
    """The value by which ServiceNow itself goes."""
    if isinstance(field, dict):
        field = field.get("value") or field.get("display_value")
    return fields.text_of(field, limit=4096)


def _display(field: object) -> str:
    """The value as people see it."""
    if isinstance(field, dict):
        field = field.get("display_value") or field.get("value")
    return fields.text_of(field)


def _priority(record: Mapping[str, Any]) -> str:
    """The number that the name, translated or not, begins with: ``1 - Critical``."""
    said = _value(record.get("priority")) or _value(record.get("severity"))
    return said[0] if said[1:4] == " - " else said[:100]


def _prose(field: object) -> str:
    if isinstance(field, dict):
        field = field.get("display_value") or field.get("value")
    return values.clean_text(field.strip(), limit=values.DESCRIPTION_MAX) if isinstance(field, str) else ""


def _event_name(
    payload: Mapping[str, Any], record: Mapping[str, Any], config: ServiceNowConfig, warnings: list[str]
) -> str:
    state = record.get("state") or record.get("incident_state")
    said = fields.text_at(payload, "event", "operation").lower()
    event = _EVENTS.get(said)
    if said and event is None:
        warnings.append(f"event {said[:40]!r} is not known: judged by the state")
    if not state and event is None:
        warnings.append("neither event nor state was sent: taken as open")
    # What is resolved is over, whatever operation the rule names.
    if _value(state).lower() in config.closed_states or _display(state).lower() in config.closed_states:
        return "closed"
    return event or "updated"


def _time(record: Mapping[str, Any], *names: str) -> datetime | None:
    return next((at for at in (values.parse_time(_value(record.get(name))) for name in names) if at is not None), None)


def _url(payload: Mapping[str, Any], record: Mapping[str, Any], config: ServiceNowConfig, sys_id: str) -> str:
    built = (
        f"{config.web_url.rstrip('/')}/nav_to.do?uri=incident.do?sys_id={sys_id}"
        if config.web_url and sys_id.isalnum()
        else ""
    )
    links = values.links(("Incident", payload.get("url") or record.get("url")), ("Incident", built))
    return links[0].url if links else ""


SOURCE = AlertSource(
    slug="servicenow",
    title="ServiceNow",
    profile="standard_webhooks",  # the business rule signs
    config_model=ServiceNowConfig,
    parse=parse,
    severities={
        **COMMON_SEVERITIES,
        # Critical, high, moderate, low, planning.
        **FROM_ONE_TO_FIVE,
        "moderate": Severity.P2,
        "planning": Severity.P3,
    },
    example={
        "event": "created",
        "incident": {
            "sys_id": "1",
            "number": "INC0000001",
            "short_description": "A first incident",
            "state": {"value": "1", "display_value": "New"},
            "priority": {"value": "4", "display_value": "4 - Low"},
        },
    },
    document="https://www.servicenow.com/docs/bundle/zurich-api-reference/page/integrate/inbound-rest/concept/c_TableAPI.html",
    document_date="2026-11",
    setup="Add the business rule of docs/how-to/connect-servicenow.md to the table incident; the address and the secret go "
    "into two system properties.",
)
