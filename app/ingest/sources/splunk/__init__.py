"""Splunk's built-in webhook alert action.

Source: help.splunk.com, Alerting Manual, "Use a webhook alert action", read 2026-11: ``sid``, ``search_name``, ``owner``,
``app``, ``results_link`` and ``result``, the first row that the search found. It fires and never says that it is over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, ParseError, load_object
from app.ingest.rules import fields, values

# scheduler__admin__search__RMD5f31c_at_1772446500_132: the search, then when this run of it was due.
_RUN = re.compile(r"(.{1,1000}?)_at_(\d{9,11})_[\d.]{1,20}")
_SEVERITY_FIELDS = ("severity", "urgency", "priority", "level")
_SHOWN_FIELDS = 30
_RESOLVE_TIMEOUT_S = 4 * 3600


class SplunkConfig(BaseModel):
    """What a tenant may set for a Splunk source.

    Attributes:
        dedup_fields: Fields of the result, ``host`` for instance, whose values tell alerts of one search apart; for
            alerts that trigger for each result. By default a search is one alert.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dedup_fields: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(max_length=8)] = ()


def parse(body: bytes, headers: Mapping[str, str], config: SplunkConfig) -> list[AlertEvent]:
    """This will return the search's one event.

    Raises:
        ParseError: No JSON object, or no search in it.
    """
    payload = load_object(body)
    sid = fields.text_of(payload.get("sid"), limit=4096)
    run = _RUN.fullmatch(sid)
    search = fields.text_of(payload.get("search_name"), limit=4096) or (run[1] if run is not None else sid)
    if not search:
        raise ParseError("body.unexpected_shape", "no alert of Splunk: both search_name and sid are missing")
    result = fields.object_at(payload, "result")
    at = values.parse_time(run[2]) if run is not None else None
    apart = [fields.text_of(result.get(name), limit=4096) for name in config.dedup_fields]
    # Where it happened belongs to the title: at night nobody opens the results to find the host.
    where = ", ".join(filter(None, apart)) or fields.text_at(result, "host")
    return [
        AlertEvent(
            dedup_key=fields.compound_key("search", fields.text_at(payload, "app"), search, *apart),
            status=AlertStatus.FIRING,
            title=values.one_line(f"{search} on {where}" if where else search),
            description=_description(result),
            raw_severity=fields.text_at(result, *_SEVERITY_FIELDS),
            event_time=at,
            starts_at=at,
            labels=_labels(payload, result, search),
            links=values.links(("Results", payload.get("results_link"))),
            warnings=() if fields.text_at(payload, "search_name") else ("the search has no name: it was not saved",),
        )
    ]


def _told(result: Mapping[str, Any]) -> dict[str, str]:
    """The row's fields, without Splunk's own, whose names begin with an underscore."""
    names = sorted(name for name in result if not name.startswith("_"))[:_SHOWN_FIELDS]
    return fields.said({name[: values.LABEL_NAME_MAX]: _field(result[name]) for name in names if name})


def _field(value: object) -> str:
    """A field of several values is a list."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(fields.text_of, value[:20])))[: values.LABEL_VALUE_MAX]
    return fields.text_of(value)


def _labels(payload: Mapping[str, Any], result: Mapping[str, Any], search: str) -> dict[str, str]:
    own = {
        "alertname": values.one_line(search, limit=values.LABEL_VALUE_MAX),
        "app": fields.text_at(payload, "app"),
        "owner": fields.text_at(payload, "owner"),
    }
    return {name: said for name, said in values.clean_mapping(_told(result)).items() if name} | fields.said(own)


def _description(result: Mapping[str, Any]) -> str:
    raw = fields.prose_at(result, "_raw", limit=4000)
    lines = fields.facts_of(*_told(result).items())
    return fields.description_of((raw, lines), between="\n\n")


SOURCE = AlertSource(
    slug="splunk",
    title="Splunk",
    profile="url_secret",  # the built-in action sets no headers
    config_model=SplunkConfig,
    parse=parse,
    # Splunk's own severities, which a search may put into a field, by number and by name; Enterprise Security's words.
    severities={
        **COMMON_SEVERITIES,
        "1": Severity.P3,
        "2": Severity.P3,
        "3": Severity.P2,
        "4": Severity.P1,
        "5": Severity.P1,
        "6": Severity.P0,
        "severe": Severity.P1,
        "informational": Severity.P3,
        "unknown": Severity.P2,
    },
    resolve_timeout_s=_RESOLVE_TIMEOUT_S,
    example={
        "sid": "scheduler__admin__search__first_at_1767614400_1",
        "search_name": "A first search",
        "app": "search",
        "owner": "admin",
        "results_link": "https://splunk.example.com/app/search/@go?sid=first",
        "result": {"host": "web-1", "count": "8"},
    },
    document="https://help.splunk.com/en/splunk-enterprise/alert-and-respond/alerting-manual/10.0/"
    "configure-alert-actions/use-a-webhook-alert-action",
    document_date="2026-11",
    setup="In the alert, under Trigger Actions, add Webhook with the whole address, secret included; from Splunk 9.0 on "
    "the address must be on the webhook allow list first. Splunk never says that an alert is over: it ends four hours after "
    "the last time it fired, or after the source's resolve_timeout_s.",
)
