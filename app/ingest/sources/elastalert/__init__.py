"""ElastAlert 2: what its alerters ``post2`` and ``post`` send, one match in each request.

Source: ElastAlert 2 documentation, "HTTP POST 2" and "HTTP POST", and ``HTTPPost2Alerter`` of 2.28, read 2026-11. The
body is the match's document with ``num_hits`` and ``num_matches``; nothing in it names the rule, so the rule adds the
object ``tocsin``::

    alert: [post2]
    http_post2_url: https://tocsin.example/in/<the source's address>
    http_post2_headers: {Authorization: "Bearer <secret>"}
    http_post2_all_values: true
    http_post2_payload:
      tocsin:
        rule: Failed logins
        severity: critical
        key: "{{ user.name }}"
        title: "Failed logins of {{ user.name }}"

``key`` tells the alerts of one rule apart, ``status: resolved`` in a second rule ends one, ``labels`` may hold more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, compound_key, description_of, object_at, prose_at, said, text_at, text_of

_RESOLVE_TIMEOUT_S = 3600
_RESOLVED = frozenset({"resolved", "resolve", "ok", "closed", "recovered"})
# Of the Elastic Common Schema and of the older Beats, under the name that the label gets.
_LABEL_FIELDS = (
    ("host", ("host.name", "host.hostname", "hostname", "beat.hostname", "host")),
    ("service", ("service.name", "service")),
    ("environment", ("service.environment", "environment")),
    ("agent", ("agent.name", "agent.hostname")),
    ("dataset", ("event.dataset", "data_stream.dataset")),
    ("namespace", ("kubernetes.namespace", "kubernetes.namespace_name")),
    ("container", ("container.name", "kubernetes.container.name")),
    ("user", ("user.name",)),
    ("source_ip", ("source.ip", "client.ip")),
    ("level", ("log.level", "level")),
)


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the one event of the match.

    Raises:
        ParseError: No JSON object, or one that is neither a match nor names its rule.
    """
    match = load_object(body)
    ours = object_at(match, "tocsin")
    warnings: list[str] = []
    index = text_at(match, "_index", limit=200)
    rule = _rule(match, ours, index, warnings)
    at = values.parse_time(_found(ours, "time") or _found(match, "@timestamp") or _found(match, "timestamp"))
    if at is None:
        warnings.append("no usable @timestamp: the time of delivery counts")
    over = text_at(ours, "status", limit=40).lower() in _RESOLVED
    labels = _labels(match, ours)
    subject = labels.get("host") or labels.get("service")
    return [
        AlertEvent(
            dedup_key=compound_key("rule", rule, text_of(ours.get("key"), limit=4096)),
            status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
            title=text_at(ours, "title", limit=values.TITLE_MAX) or (f"{rule} on {subject}" if subject else rule),
            description=_description(match, ours),
            raw_severity=text_at(ours, "severity", limit=100) or text_at(match, "alert_severity", limit=100),
            event_time=at,
            starts_at=None if over else at,
            ends_at=at if over else None,
            labels={"alertname": rule, **labels},
            # An index has its day in its name: as a label it would make something new of an alert each midnight.
            annotations=said({"index": index, "document": text_at(match, "_id", limit=200)}),
            links=values.links(
                ("Link", ours.get("url")),
                ("Kibana", match.get("kibana_discover_url") or match.get("kibana_link")),
            ),
            warnings=bounded(warnings),
        )
    ]


def _rule(match: Mapping[str, Any], ours: Mapping[str, Any], index: str, warnings: list[str]) -> str:
    named = text_at(ours, "rule", limit=200) or text_at(match, "rule_name", "alert_rule", limit=200)
    if named:
        return named
    if not index and "num_matches" not in match:
        raise ParseError("body.unexpected_shape", "no match of ElastAlert: it has neither 'tocsin.rule' nor '_index'")
    warnings.append("the rule's name is missing: put tocsin.rule into http_post2_payload")
    return f"ElastAlert match in {index or 'an index'}"


def _found(document: Mapping[str, Any], path: str) -> object:
    """This will return what is at a dotted path: as one key, as ElastAlert writes flat fields, or one inside the other."""
    if path in document:
        return document[path]
    first, dot, rest = path.partition(".")
    inner = document.get(first) if dot else None
    return _found(inner, rest) if isinstance(inner, dict) else None


def _labels(match: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for name, paths in _LABEL_FIELDS:
        text = next((text for path in paths if (text := text_of(_found(match, path)))), "")
        if text:
            labels[name] = text
    return labels | said(values.clean_mapping(ours.get("labels")))


def _description(match: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    message = prose_at(ours, "text", "description")
    if not message:
        found = _found(match, "message") or _found(match, "error.message") or _found(match, "event.original")
        message = values.clean_text(found, limit=values.DESCRIPTION_MAX).strip() if isinstance(found, str) else ""
    hits, matches = text_at(match, "num_hits", limit=20), text_at(match, "num_matches", limit=20)
    counts = f"{matches or '?'} matches in {hits or '?'} hits" if hits or matches else ""
    return description_of((message, counts))


SOURCE = AlertSource(
    slug="elastalert",
    title="ElastAlert 2",
    profile="bearer",
    parse=parse,
    severities={**COMMON_SEVERITIES, "major": Severity.P1},
    resolve_timeout_s=_RESOLVE_TIMEOUT_S,
    example={
        "@timestamp": "2026-01-05T12:00:00.000Z",
        "_index": "logs-2026.01.05",
        "message": "login failed for eve",
        "host": {"name": "web-1"},
        "num_hits": 12,
        "num_matches": 1,
        "tocsin": {"rule": "Failed logins", "severity": "warning", "key": "eve"},
    },
    document="https://elastalert2.readthedocs.io/en/latest/alerts.html#http-post-2",
    document_date="2026-11-21",
    setup='In the rule: alert: [post2], http_post2_url: the address, http_post2_headers: {Authorization: "Bearer '
    '<secret>"}, http_post2_all_values: true and http_post2_payload: {tocsin: {rule: <its name>, severity: critical, key: '
    "<what tells its alerts apart>}}. ElastAlert never says that something is over: an alert that matches no more is "
    "resolved after an hour, or by a second rule that sends status: resolved with the same rule and key.",
)
