"""Ticket events of ManageEngine ServiceDesk Plus.

Its webhooks send a payload that an administrator writes with ``$`` variables, so there is no one shape. The
documented one for Tocsin is ``{"event": "created", "request": {...}}`` with the fields of the REST API's request; a
flat object and plain strings in place of ``{"name": ...}`` are read as well, as that is what the variables expand to.
Source: ManageEngine, ServiceDesk Plus API v3 "Request" and the administrator guide "Webhooks", read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import AlertEvent, AlertStatus, TicketRef
from app.ingest.contract import AlertSource, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.html_text import html_to_text

_EVENTS = {
    **dict.fromkeys(("created", "create", "new", "add", "added", "opened"), "created"),
    **dict.fromkeys(("updated", "update", "edit", "edited", "modified", "assigned", "reopened"), "updated"),
    **dict.fromkeys(("closed", "close", "resolved", "cancelled", "canceled", "deleted", "completed"), "closed"),
}
_ID_FIELDS = ("id", "request_id", "requestid", "workorderid", "display_id")
_LABEL_FIELDS = (
    "status",
    "priority",
    "urgency",
    "impact",
    "level",
    "category",
    "subcategory",
    "item",
    "site",
    "group",
    "technician",
    "mode",
    "request_type",
    "service_category",
    "department",
)
_UNSET_VARIABLE = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_.]*\}?")
_EVENT_WORDS = re.compile(r"[a-z]+")


class ServiceDeskConfig(BaseModel):
    """What a tenant may set for a ServiceDesk Plus source.

    Attributes:
        web_url: Where its users open the desk; used for the link to the ticket when the payload has none.
        closed_statuses: Names of statuses that end a ticket, lower case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    web_url: str = Field("", max_length=500)
    closed_statuses: Annotated[tuple[str, ...], Field(max_length=20)] = ("closed", "resolved", "cancelled", "canceled")


def parse(body: bytes, headers: Mapping[str, str], config: ServiceDeskConfig) -> list[AlertEvent]:
    """This will return the one event of the ticket.

    Raises:
        ParseError: No JSON object, or no ticket id in it.
    """
    payload = load_object(body)
    request = _request_of(payload)
    ticket_id = _first(request, _ID_FIELDS)
    if not ticket_id:
        raise ParseError("body.unexpected_shape", 'the ticket has no id: send "id": "${id}" in the payload')
    warnings = [f"{name} was not filled in by the sender" for name in sorted(request) if _is_unset(request[name])]
    warnings += values.mapping_warnings(request.get("udf_fields"), what="udf_fields")
    event = _event_name(payload, request, config, warnings)
    subject = values.one_line(_named(request.get("subject") or request.get("title")))
    return [
        AlertEvent(
            dedup_key=f"request:{ticket_id}",
            status=AlertStatus.RESOLVED if event == "closed" else AlertStatus.FIRING,
            title=subject or f"Ticket {ticket_id}",
            description=_plain_text(request.get("description")),
            raw_severity=_first(request, ("priority", "urgency", "impact")),
            event_time=_event_time(event, request),
            starts_at=_time(request, "created_time"),
            ends_at=_closed_at(request) if event == "closed" else None,
            labels=_labels(request),
            links=values.links(("Ticket", _url(ticket_id, payload, request, config))),
            ticket=TicketRef(
                system="servicedesk",
                external_id=ticket_id,
                url=_url(ticket_id, payload, request, config),
                requester=_requester(request.get("requester")),
                event=event,
            ),
            warnings=tuple(warning[: values.WARNING_MAX] for warning in warnings[:20]),
        )
    ]


def _request_of(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("request", "ticket", "data"):
        inner = payload.get(name)
        if isinstance(inner, dict):
            nested = inner.get("request")
            return nested if isinstance(nested, dict) else inner
    return payload


def _is_unset(value: object) -> bool:
    """A variable that the desk did not know arrives as it was written."""
    return isinstance(value, str) and _UNSET_VARIABLE.fullmatch(value.strip()) is not None


def _named(value: object) -> str:
    """This will return the text of a field that may be a string, a number or an object with a name."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("name", "display_value", "value", "id") if value.get(key)), None)
    if _is_unset(value) or isinstance(value, dict | list):
        return ""
    return values.clean_text(value, limit=values.LABEL_VALUE_MAX).strip()


def _first(request: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((text for text in (_named(request.get(name)) for name in names) if text), "")


def _event_name(
    payload: Mapping[str, Any], request: Mapping[str, Any], config: ServiceDeskConfig, warnings: list[str]
) -> str:
    said = next(
        (payload[name] for name in ("event", "operation", "action", "trigger") if isinstance(payload.get(name), str)),
        "",
    )
    known = next(
        (_EVENTS[word] for word in reversed(_EVENT_WORDS.findall(said[:200].lower())) if word in _EVENTS), None
    )
    if known is None and said and not _is_unset(said):
        warnings.append(f"event {values.one_line(said, limit=40)!r} is not known: judged by the ticket's status")
    # A ticket that is shut is shut, whatever rule of the desk fired the webhook.
    if _named(request.get("status")).lower() in config.closed_statuses:
        return "closed"
    if known is not None:
        return known
    created, updated = _time(request, "created_time"), _time(request, "last_updated_time")
    return "updated" if created is not None and updated is not None and updated > created else "created"


def _time(request: Mapping[str, Any], name: str) -> datetime | None:
    value = request.get(name)
    if isinstance(value, dict):
        value = value.get("value") or value.get("display_value")
    return values.parse_time(value)


def _closed_at(request: Mapping[str, Any]) -> datetime | None:
    names = ("completed_time", "closed_time", "resolved_time", "last_updated_time")
    return next((found for found in (_time(request, name) for name in names) if found is not None), None)


def _event_time(event: str, request: Mapping[str, Any]) -> datetime | None:
    if event == "closed":
        return _closed_at(request)
    if event == "updated":
        return _time(request, "last_updated_time")
    return _time(request, "created_time")


def _labels(request: Mapping[str, Any]) -> dict[str, str]:
    found = {name: _named(request.get(name)) for name in _LABEL_FIELDS}
    fields = values.clean_mapping(request.get("udf_fields"))
    return {name: text for name, text in (found | fields).items() if text and not _is_unset(text)}


def _requester(value: object) -> str:
    if isinstance(value, dict):
        name = _named(value)
        mail = values.one_line(value.get("email_id"), limit=254)
        return f"{name} <{mail}>" if name and mail and mail != name else name or mail
    return _named(value)


def _url(ticket_id: str, payload: Mapping[str, Any], request: Mapping[str, Any], config: ServiceDeskConfig) -> str:
    for candidate in (request.get("url"), request.get("link"), payload.get("url")):
        link = values.safe_link("Ticket", candidate)
        if link is not None:
            return link.url
    if config.web_url and ticket_id.isascii() and ticket_id.isalnum():
        base = config.web_url.rstrip("/")
        link = values.safe_link("Ticket", f"{base}/WorkOrder.do?woMode=viewWO&woID={ticket_id}")
        return link.url if link is not None else ""
    return ""


def _plain_text(value: object) -> str:
    """The description, which the desk keeps as HTML."""
    text = values.clean_text(value, limit=values.DESCRIPTION_MAX * 4)
    return "" if _is_unset(value) else values.clean_text(html_to_text(text), limit=values.DESCRIPTION_MAX)


SOURCE = AlertSource(
    slug="servicedesk",
    title="ManageEngine ServiceDesk Plus",
    profile="bearer",  # its webhooks take headers; only a function that is written for it could sign
    config_model=ServiceDeskConfig,
    document="https://www.manageengine.com/products/service-desk/sdpod-v3-api/requests/request.html",
    document_date="2026-11",
    setup="Under Admin > Automation (or Integrations) > Webhooks add a webhook: POST, the address, the request headers "
    "Authorization with 'Bearer <secret>' and Content-Type with application/json, and the payload of "
    "docs/how-to/connect-servicedesk.md. Where a function signs the request, choose the profile standard_webhooks.",
    parse=parse,
    example={
        "event": "created",
        "request": {"id": "1", "subject": "A first ticket", "priority": "Low", "requester": "Test"},
    },
)
