"""Any sender of JSON: a mapping by JMESPath, stored with the source. Its defaults fit the names that most senders use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import AlertSource, ParseError, check_count, json_type, load_json
from app.ingest.rules import values
from app.ingest.sources.generic.expressions import EXPRESSION_MAX, Evaluator, compile_expression

Expression = Annotated[str, Field(min_length=1, max_length=EXPRESSION_MAX)]


class GenericConfig(BaseModel):
    """Where in the payload to find what; each a JMESPath expression.

    Attributes:
        items: The alerts, where one delivery carries several; by default a list as a whole, or the document itself.
        dedup: What together makes an alert the same as before; by default the sender's id, else the title.
        resolved_values: Values of ``status`` that mean "over", lower case.
        resolved_when: Truthy means "over", whatever ``status`` says.
        labels: Label name to expression; without any, the object at ``labels_from``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Expression | None = None
    title: Expression = "title || summary || subject || alert_name || alertname || name || message || text"
    description: Expression = "description || details || body || message || text"
    dedup: Annotated[tuple[Expression, ...], Field(max_length=8)] = ()
    status: Expression = "status || state || event_action || action"
    resolved_values: Annotated[tuple[str, ...], Field(max_length=30)] = (
        "resolved",
        "resolve",
        "ok",
        "up",
        "closed",
        "recovered",
        "recovery",
        "inactive",
        "normal",
        "cleared",
        "success",
    )
    resolved_when: Expression | None = None
    severity: Expression = "severity || priority || level || urgency"
    event_time: Expression = "timestamp || event_time || time || occurred_at || created_at"
    labels: dict[Annotated[str, Field(min_length=1, max_length=128)], Expression] = Field(
        default_factory=dict, max_length=64
    )
    labels_from: Expression = "labels || tags || attributes"
    url: Expression = "url || link || html_url"

    @field_validator("*")
    @classmethod
    def _compiles(cls, value: Any, info: Any) -> Any:
        if info.field_name == "resolved_values" or value is None:
            return value
        expressions = value.values() if isinstance(value, dict) else (value,) if isinstance(value, str) else value
        for expression in expressions:
            compile_expression(expression)
        return value


_DEDUP_DEFAULTS = ("dedup_key || fingerprint || incident_key || alert_id || event_id || id || key",)


def parse(body: bytes, headers: Mapping[str, str], config: GenericConfig) -> list[AlertEvent]:
    """This will return one event per alert that the mapping finds.

    Raises:
        ParseError: Not JSON, neither object nor list, too many alerts, or a mapping that costs too much.
    """
    document = load_json(body)
    if not isinstance(document, dict | list):
        raise ParseError(
            "body.unexpected_shape", f"the body is {json_type(document)}, an object or a list was expected"
        )
    evaluator = Evaluator()
    found = evaluator.find(config.items, document) if config.items is not None else document
    items = found if isinstance(found, list) else [] if found is None else [found]
    check_count(len(items))
    objects = [item for item in items if isinstance(item, dict)]
    if items and not objects:
        raise ParseError("body.unexpected_shape", "none of the alerts is an object")
    return [_event(item, evaluator, config) for item in objects]


def _event(item: dict[str, Any], evaluator: Evaluator, config: GenericConfig) -> AlertEvent:
    warnings: list[str] = []
    said_title = evaluator.find(config.title, item)
    title = values.one_line(said_title) if not isinstance(said_title, dict | list) else ""
    if not title:
        warnings.append("no title found")
    said_time = evaluator.find(config.event_time, item)
    event_time = values.parse_time(said_time)
    if said_time is not None and event_time is None:
        warnings.append(
            f"time {values.one_line(said_time, limit=60)!r} was not understood: the time of delivery counts"
        )
    severity = evaluator.find(config.severity, item)
    if isinstance(severity, dict | list):
        warnings.append("the severity is no text: the default counts")
        severity = None
    labels = _labels(item, evaluator, config)
    if isinstance(labels, dict):
        warnings += values.mapping_warnings(labels, what="labels")
    status = _status(item, evaluator, config, warnings)
    return AlertEvent(
        dedup_key=_dedup_key(item, evaluator, config, title),
        status=status,
        title=title or "Alert without a title",
        description=values.clean_text(evaluator.find(config.description, item), limit=values.DESCRIPTION_MAX),
        raw_severity=values.one_line(severity, limit=100),
        event_time=event_time,
        starts_at=event_time if status is AlertStatus.FIRING else None,
        ends_at=event_time if status is AlertStatus.RESOLVED else None,
        labels=values.clean_mapping(labels),
        links=values.links(("Source", evaluator.find(config.url, item))),
        warnings=tuple(warning[: values.WARNING_MAX] for warning in warnings),
    )


def _status(item: dict[str, Any], evaluator: Evaluator, config: GenericConfig, warnings: list[str]) -> AlertStatus:
    if config.resolved_when is not None and evaluator.find(config.resolved_when, item) not in (None, False, "", [], {}):
        return AlertStatus.RESOLVED
    said = evaluator.find(config.status, item)
    if isinstance(said, dict | list):
        warnings.append("the status is no text: taken as firing")
        return AlertStatus.FIRING
    over = values.one_line(said, limit=100).lower() in config.resolved_values
    return AlertStatus.RESOLVED if over else AlertStatus.FIRING


def _dedup_key(item: dict[str, Any], evaluator: Evaluator, config: GenericConfig, title: str) -> str:
    parts = [
        values.clean_text(evaluator.find(expression, item), limit=100_000)
        for expression in config.dedup or _DEDUP_DEFAULTS
    ]
    if len(parts) == 1 and parts[0]:
        return parts[0]
    if not any(parts):
        parts = [title]
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        # With its length, so that ("ab", "c") and ("a", "bc") differ.
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return f"fields:{digest.hexdigest()[:32]}"


def _labels(item: dict[str, Any], evaluator: Evaluator, config: GenericConfig) -> object:
    if config.labels:
        found = {name: evaluator.find(expression, item) for name, expression in config.labels.items()}
        return {name: value for name, value in found.items() if value is not None}
    return evaluator.find(config.labels_from, item)


SOURCE = AlertSource(
    slug="generic",
    title="Any JSON",
    profile="standard_webhooks",
    config_model=GenericConfig,
    document="https://www.standardwebhooks.com/",
    document_date="2026-11",
    setup="Post JSON to the address, signed with the secret as Standard Webhooks describes; try your own payload with "
    "the preview before you save a mapping.",
    parse=parse,
    example={"id": "test-1", "title": "A first alert", "status": "firing", "severity": "info"},
)
