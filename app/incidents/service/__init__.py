"""The use cases of incidents; other domains import them from here."""

from __future__ import annotations

from app.incidents.repository.reading import AlertFilter, IncidentFilter
from app.incidents.rules.states import InvalidTransition
from app.incidents.schemas import AppliedAlert, SourceFacts
from app.incidents.service.intake import apply_alerts, apply_deliveries
from app.incidents.service.normalise import Delivered
from app.incidents.service.reading import (
    AlertNotFound,
    IncidentNotFound,
    find_alerts,
    find_incidents,
    find_open_alert_status,
    get_alert,
    get_incident,
    get_incident_by_number,
    list_alerts,
    list_incidents,
    list_latest_entries,
    list_timeline,
)
from app.incidents.service.rehearsal import Rehearsal, RehearsedEvent, RehearsedIncident, rehearse
from app.incidents.service.responses import (
    GroupHasOpenIncident,
    acknowledge_incident,
    add_note,
    assign_incident,
    record_timeline,
    reopen_incident,
    resolve_incident,
)
from app.incidents.service.stale import Expired, resolve_stale_alerts
from app.incidents.service.storms import NoStorm, end_storm, get_storm

__all__ = [
    "AlertFilter",
    "AlertNotFound",
    "AppliedAlert",
    "Delivered",
    "Expired",
    "GroupHasOpenIncident",
    "IncidentFilter",
    "IncidentNotFound",
    "InvalidTransition",
    "NoStorm",
    "Rehearsal",
    "RehearsedEvent",
    "RehearsedIncident",
    "SourceFacts",
    "acknowledge_incident",
    "add_note",
    "apply_alerts",
    "apply_deliveries",
    "assign_incident",
    "end_storm",
    "find_alerts",
    "find_incidents",
    "find_open_alert_status",
    "get_alert",
    "get_incident",
    "get_incident_by_number",
    "get_storm",
    "list_alerts",
    "list_incidents",
    "list_latest_entries",
    "list_timeline",
    "record_timeline",
    "rehearse",
    "reopen_incident",
    "resolve_incident",
    "resolve_stale_alerts",
]
