"""A payload's items into alerts, by a tenant's mapping. Other sources that map bring their own document and defaults."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from app.incidents.schemas import AlertEvent, AlertStatus, Link
from app.ingest.contract import Events, Ignored, ParseError, check_count
from app.ingest.rules import values
from app.ingest.sources.generic.config import IDS, MappingConfig
from app.ingest.sources.generic.expressions import Evaluator
from app.ingest.sources.generic.templates import is_template, render

Config = TypeVar("Config", bound=MappingConfig)

_NOTHING: tuple[Any, ...] = (None, False, "", [], {})


class Mapper(Generic[Config]):
    """Maps the items of one delivery, on one budget.

    Args:
        config: The mapping.
        headers: The request's, lower case.
        document: The whole payload.

    Attributes:
        unfound: Settings of the tenant's own that found nothing in the last item, ``labels.host`` for instance.
    """

    def __init__(self, config: Config, *, headers: Mapping[str, str], document: object) -> None:
        self.config = config
        self._document = document
        self._evaluator = Evaluator(headers, document)
        self._item: dict[str, Any] = {}
        self.unfound: list[str] = []

    def items(self) -> list[dict[str, Any]]:
        """This will return the objects that are to become alerts.

        Raises:
            ParseError: Too many, or none of them is an object.
        """
        wanted = self.config.items
        found = self._evaluator.find(wanted, self._document) if wanted is not None else self._document
        items = found if isinstance(found, list) else [] if found is None else [found]
        check_count(len(items))
        objects = [item for item in items if isinstance(item, dict)]
        if items and not objects:
            raise ParseError("body.unexpected_shape", "none of the alerts is an object")
        return objects

    def each(self) -> Iterator[AlertEvent | Ignored]:
        """This will map one item after the other."""
        for item in self.items():
            yield self.map(item)

    def map(self, item: dict[str, Any], *, warnings: Iterable[str] = ()) -> AlertEvent | Ignored:
        """This will return the item's alert, or why it is none.

        Args:
            warnings: What the caller had to bend to make the item.
        """
        config = self.config
        warnings = list(warnings)
        named: dict[str, Any] = {}
        self._item, self.unfound, self._evaluator.scope.fields = item, [], named
        for name, text in config.fields.items():
            named[name] = self._find(f"fields.{name}", text)
        ignored = self._ignored()
        if ignored is not None:
            return ignored
        title = self._title(warnings)
        event_time = self._event_time(warnings)
        severity = self._severity(warnings)
        status = self._status(warnings)
        return AlertEvent(
            dedup_key=self._dedup_key(title),
            status=status,
            title=title or "Alert without a title",
            description=values.clean_text(self._find("description", config.description), limit=values.DESCRIPTION_MAX),
            raw_severity=severity,
            event_time=event_time,
            starts_at=event_time if status is AlertStatus.FIRING else None,
            ends_at=event_time if status is AlertStatus.RESOLVED else None,
            labels=self._labels(warnings),
            links=self._links(warnings),
            group=values.clean_mapping(self._named("group", config.group)),
            warnings=tuple(warning[: values.WARNING_MAX] for warning in warnings),
        )

    def _find(self, where: str, text: str) -> Any:
        evaluator, item = self._evaluator, self._item
        if is_template(text):
            found: Any = render(text, lambda expression: evaluator.find(expression, item))
        else:
            found = evaluator.find(text, item)
        if found is None and where.partition(".")[0] in self.config.model_fields_set:
            self.unfound.append(where)
        return found

    def _holds(self, expression: str | None) -> bool:
        return expression is not None and self._evaluator.find(expression, self._item) not in _NOTHING

    def _named(self, where: str, wanted: Mapping[str, str]) -> dict[str, Any]:
        found = {name: self._find(f"{where}.{name}", text) for name, text in wanted.items()}
        return {name: value for name, value in found.items() if value is not None}

    def _ignored(self) -> Ignored | None:
        for index, rule in enumerate(self.config.ignore):
            if self._holds(rule.when):
                reason = self._find(f"ignore.{index}", rule.reason) if is_template(rule.reason) else rule.reason
                return Ignored(values.one_line(reason or rule.reason, limit=values.WARNING_MAX))
        return None

    def _title(self, warnings: list[str]) -> str:
        said = self._find("title", self.config.title)
        title = values.one_line(said) if not isinstance(said, dict | list) else ""
        if not title:
            warnings.append("no title found")
        return title

    def _event_time(self, warnings: list[str]) -> Any:
        said = self._find("event_time", self.config.event_time)
        found = values.parse_time(said)
        if said is not None and found is None:
            shown = values.one_line(said, limit=60)
            warnings.append(f"time {shown!r} was not understood: the time of delivery counts")
        return found

    def _severity(self, warnings: list[str]) -> str:
        said = self._find("severity", self.config.severity)
        if isinstance(said, dict | list):
            warnings.append("the severity is no text: the default counts")
            return ""
        return values.one_line(said, limit=100)

    def _status(self, warnings: list[str]) -> AlertStatus:
        config = self.config
        if self._holds(config.resolved_when):
            return AlertStatus.RESOLVED
        if self._holds(config.acknowledged_when):
            return AlertStatus.ACKNOWLEDGED
        said = self._find("status", config.status)
        if isinstance(said, dict | list):
            warnings.append("the status is no text: taken as firing")
            return AlertStatus.FIRING
        word = values.one_line(said, limit=100).lower()
        if word in config.resolved_values:
            return AlertStatus.RESOLVED
        return AlertStatus.ACKNOWLEDGED if word in config.acknowledged_values else AlertStatus.FIRING

    def _dedup_key(self, title: str) -> str:
        wanted = self.config.dedup or (IDS,)
        parts = [
            values.clean_text(self._find(f"dedup.{index}", text), limit=100_000) for index, text in enumerate(wanted)
        ]
        if len(parts) == 1 and parts[0]:
            return parts[0]
        return digest_of(parts if any(parts) else [title])

    def standing_labels(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """This will return labels that each alert gets whatever the mapping says; of equal names the mapping's stands."""
        return {}

    def _labels(self, warnings: list[str]) -> dict[str, str]:
        config = self.config
        standing = self.standing_labels(self._item)
        if config.labels:
            return values.clean_mapping({**standing, **self._named("labels", config.labels)})
        found = self._find("labels_from", config.labels_from)
        if not isinstance(found, dict):
            return values.clean_mapping(standing)
        warnings += values.mapping_warnings(found, what="labels")
        return values.clean_mapping({**standing, **found} if standing else found)

    def _links(self, warnings: list[str]) -> tuple[Link, ...]:
        candidates: list[tuple[str, object]] = [("Source", self._find("url", self.config.url))]
        for index, rule in enumerate(self.config.links):
            title = self._find(f"links.{index}", rule.title) if is_template(rule.title) else rule.title
            candidates.append((str(title or "Source"), self._find(f"links.{index}", rule.url)))
        if self.config.links_from is not None:
            candidates += _listed_links(self._find("links_from", self.config.links_from))
        given = [(title, url) for title, url in candidates if isinstance(url, str) and url]
        links = values.links(*given)
        if len(links) < len({url for _, url in given}):
            warnings.append("links that are not http or https, or too many, were left out")
        return links


def _listed_links(found: object) -> list[tuple[str, object]]:
    entries = found if isinstance(found, list) else [found]
    links: list[tuple[str, object]] = []
    for entry in entries[: values.LINKS_MAX * 2]:
        if isinstance(entry, dict):
            named = next((entry[name] for name in ("title", "text", "name", "rel") if entry.get(name)), "Link")
            links.append((values.one_line(named, limit=100), entry.get("url") or entry.get("href")))
        else:
            links.append(("Link", entry))
    return links


def digest_of(parts: list[str]) -> str:
    """This will make one dedup key of several texts."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        # With its length, so that ("ab", "c") and ("a", "bc") differ.
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return f"fields:{digest.hexdigest()[:32]}"


def events_of(mapper: Mapper[Any]) -> Events:
    """This will map all items: alerts as events, the reasons of the ignored ones as notes.

    Raises:
        ParseError: Too many items, none that is an object, or a mapping that costs too much.
    """
    events = Events()
    for found in mapper.each():
        if isinstance(found, Ignored):
            events.note(f"no alert: {found.reason}")
        else:
            events.append(found)
    return events
