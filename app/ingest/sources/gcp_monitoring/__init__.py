"""Google Cloud Monitoring's webhook notification channel, schema version 1.2.

Source: Google Cloud documentation, "Create and manage notification channels", Webhooks, schema structure, read
2026-11. One ``incident`` with ``incident_id``, ``state`` (open, closed), ``started_at`` and ``ended_at`` in seconds,
``policy_name``, ``condition_name``, ``summary``, ``severity``, ``resource``, ``metric``, ``metadata`` and
``documentation``. The channel's test has the version ``test``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, object_at, objects_at, prose_at, said, text_at

_SAME = frozenset({"alertname", "condition", "resource"})
_STATES = {"open": AlertStatus.FIRING, "closed": AlertStatus.RESOLVED}


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the incident; nothing for a channel's test.

    Raises:
        ParseError: No incident, or one without an id.
    """
    payload = load_object(body)
    if text_at(payload, "version", limit=20).lower() == "test":
        return Events(notes=["a test: no alert"])
    incident = object_at(payload, "incident")
    incident_id = text_at(incident, "incident_id")
    if not incident_id:
        raise ParseError("body.unexpected_shape", "there is no 'incident' with an 'incident_id'")
    warnings: list[str] = []
    status = _status(incident, warnings)
    labels = _labels(incident)
    started_at, ended_at = values.parse_time(incident.get("started_at")), values.parse_time(incident.get("ended_at"))
    return [
        AlertEvent(
            dedup_key=f"incident:{incident_id}",
            status=status,
            title=_title(incident),
            description=_description(incident),
            raw_severity=text_at(incident, "severity", limit=100),
            event_time=ended_at if status is AlertStatus.RESOLVED else started_at,
            starts_at=started_at,
            ends_at=ended_at if status is AlertStatus.RESOLVED else None,
            labels=labels,
            annotations=said({name: text_at(incident, name) for name in ("observed_value", "threshold_value")}),
            links=_links(incident),
            # Each opening has an id of its own; what opens again is the same incident to people.
            group={name: labels[name] for name in _SAME} if labels.keys() >= _SAME else {},
            warnings=bounded(warnings),
        )
    ]


def _status(incident: Mapping[str, Any], warnings: list[str]) -> AlertStatus:
    state = text_at(incident, "state", limit=40)
    known = _STATES.get(state.lower())
    if known is None:
        warnings.append(f"state {state!r} is not known: taken as open")
    return known or AlertStatus.FIRING


def _title(incident: Mapping[str, Any]) -> str:
    # The summary says it all but its policy; it is long, and the resource's name stands in it.
    policy, summary = text_at(incident, "policy_name"), text_at(incident, "summary", limit=values.TITLE_MAX)
    parts = [policy, summary or text_at(incident, "condition_name")]
    return values.one_line(": ".join(part for part in parts if part)) or "Incident without a policy"


def _description(incident: Mapping[str, Any]) -> str:
    documentation = object_at(incident, "documentation")
    return prose_at({**incident, "content": documentation.get("content")}, "content", "summary")


def _labels(incident: Mapping[str, Any]) -> dict[str, str]:
    resource, metric = object_at(incident, "resource"), object_at(incident, "metric")
    found = {
        **values.clean_mapping(incident.get("policy_user_labels")),
        **values.clean_mapping(object_at(incident, "metadata").get("user_labels")),
        **values.clean_mapping(metric.get("labels")),
        **values.clean_mapping(resource.get("labels")),
        "alertname": text_at(incident, "policy_name"),
        "condition": text_at(incident, "condition_name"),
        "project": text_at(incident, "scoping_project_id"),
        "resource": text_at(incident, "resource_display_name", "resource_name"),
        "resource_type": text_at(resource, "type"),
        "metric": text_at(metric, "type"),
    }
    return said(dict(list(found.items())[-values.LABELS_MAX :]))


def _links(incident: Mapping[str, Any]) -> tuple[Any, ...]:
    documented = objects_at(object_at(incident, "documentation"), "links")[:5]
    more = ((text_at(link, "display_name", "displayName") or "Documentation", link.get("url")) for link in documented)
    return values.links(("Incident", incident.get("url")), *more)


SOURCE = AlertSource(
    slug="gcp_monitoring",
    title="Google Cloud Monitoring",
    profile="basic",  # the channel knows basic authentication, and a token in the address; nothing that signs
    parse=parse,
    severities={**COMMON_SEVERITIES, "no severity": COMMON_SEVERITIES["warning"]},
    document="https://cloud.google.com/monitoring/support/notification-options#webhooks",
    document_date="2026-11",
    setup="Under Monitoring > Alerting > Edit notification channels add a webhook: the address as endpoint, Use HTTP "
    "basic authentication, and both halves of the secret (before and after its colon) as user and password.",
    example={
        "version": "1.2",
        "incident": {
            "incident_id": "0.tocsintest",
            "policy_name": "Tocsin test",
            "state": "open",
            "severity": "Warning",
            "summary": "A first incident from Cloud Monitoring",
            "started_at": 1767614400,
        },
    },
)
