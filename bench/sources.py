"""What understanding one alert costs, for every kind of source: parse and normalise, against reading the same bytes as JSON.

    python -m bench sources

Each source's own samples, those that give an alert, are grown to about 2 kB: by text in the field that becomes the alert's
description, so that it is work and not ballast; a source that keeps no description gets a field that it does not know.
Samples that are larger stay as they are. Times are the processor's, of one delivery, the garbage collector off, rounds
spread over the run.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import orjson

from app.core.ids import DeliveryId, SourceId
from app.incidents.schemas import SourceFacts
from app.incidents.service.normalise import Delivered, to_signals
from app.ingest import sources
from app.ingest.contract import AlertSource, ParseError
from app.ingest.sources import all_sources
from bench.figures import Report, Rounds, quantile

SIZE_BYTES = 2048
LIMIT_US = 150
PER_ROUND = 300
BATCH = 20
FORM = "application/x-www-form-urlencoded"
FOLDER = Path(sources.__file__).parent
_FILLER = "the disk of the primary fills up since the last release, see the runbook; "
_RECEIVED = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Delivery:
    """What a sender sent.

    Attributes:
        document: The body as JSON, None for forms and mail.
    """

    source: AlertSource
    body: bytes
    document: Any
    headers: Mapping[str, str]
    config: Any

    def understand(self) -> int:
        """This will parse and normalise the delivery, as the worker does, and return how many alerts it holds."""
        events = self.source.parse(self.body, self.headers, self.config)
        delivered = Delivered(delivery_id=DeliveryId(UUID(int=1)), received_at=_RECEIVED, seq=1, events=events)
        return len(to_signals(_facts(self.source.slug), delivered))


@dataclass
class Taken:
    """The times of one source, in microseconds of one alert, by round."""

    medians: list[float] = field(default_factory=list)
    p95s: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)


@functools.cache
def _facts(slug: str) -> SourceFacts:
    return SourceFacts(
        id=SourceId(UUID(int=1)), kind=slug, name=slug, severity_map=all_sources()[slug].severities, group_by=()
    )


def run(options: argparse.Namespace) -> Report:
    """This will measure every source and return the figures; the worst one is named."""
    report = Report("sources")
    deliveries = {slug: list(grown(source)) for slug, source in all_sources().items()}
    taken = {slug: Taken() for slug in deliveries}
    count = max(20, int(PER_ROUND * options.scale))
    for _ in range(options.rounds):
        for slug, samples in deliveries.items():
            _one_round(taken[slug], samples, count)
    _conclude(report, taken, deliveries)
    return report


def _conclude(report: Report, taken: Mapping[str, Taken], deliveries: Mapping[str, list[Delivery]]) -> None:
    medians = {slug: statistics.median(found.medians) for slug, found in taken.items()}
    for slug in sorted(medians, key=medians.__getitem__):
        found = taken[slug]
        ratio = Rounds.of([ours / bare for ours, bare in zip(found.medians, found.loads, strict=True)])
        size = statistics.median(len(delivery.body) for delivery in deliveries[slug])
        report.detail[slug] = {
            "median_us": Rounds.of(found.medians).as_json(),
            "p95_us": Rounds.of(found.p95s).as_json(),
            "vs_orjson": ratio.as_json(),
            "samples": len(deliveries[slug]),
            "body_bytes": size,
        }
        print(
            f"  {slug:<14} {medians[slug]:6.0f} us, p95 {statistics.median(found.p95s):6.0f}, {ratio.median:5.1f} x orjson"
        )
    worst = max(medians, key=medians.__getitem__)
    report.headline["source_us_worst"] = round(medians[worst], 2)
    report.headline["source_us_median"] = round(statistics.median(medians.values()), 2)
    report.detail["worst"] = worst
    middle = statistics.median(medians.values())
    print(f"  worst: {worst} with {medians[worst]:.0f} us, of all {middle:.0f}; less than {LIMIT_US}")


def _one_round(taken: Taken, samples: list[Delivery], count: int) -> None:
    ours = [took for delivery in samples for took in _times(delivery.understand, count)]
    bodies = [
        delivery.body if delivery.document is not None else orjson.dumps(delivery.body.decode()) for delivery in samples
    ]
    bare = [took / BATCH for body in bodies for took in _times(functools.partial(_load, body), count // BATCH + 1)]
    taken.medians.append(statistics.median(ours))
    taken.p95s.append(quantile(ours, 0.95))
    taken.loads.append(statistics.median(bare))


def _load(body: bytes) -> None:
    """One call takes hardly longer than looking at the clock, so it is timed by the batch."""
    for _ in range(BATCH):
        orjson.loads(body)


def _times(call: Callable[[], object], count: int) -> list[float]:
    """The processor's microseconds of each of ``count`` calls, after a few that nobody counts."""
    for _ in range(5):
        call()
    clock, times = time.thread_time_ns, []
    gc.disable()
    try:
        for _ in range(count):
            started = clock()
            call()
            times.append((clock() - started) / 1000)
    finally:
        gc.enable()
    return times


def grown(source: AlertSource) -> Iterator[Delivery]:
    """This will yield the source's samples that give one alert, each of about 2 kB; its example where none does."""
    files = sorted((FOLDER / source.slug / "samples").glob("*.json"))
    found = [read(source, path.read_bytes()) for path in files if not path.name.endswith(".expected.json")]
    fitting = [padded(delivery) for delivery in found if _alerts(delivery) == 1]
    yield from fitting or [padded(read(source, orjson.dumps(dict(source.example))))]


def read(source: AlertSource, raw: bytes) -> Delivery:
    """This will unwrap a sample: the body itself, or an object with ``sample`` and the body under ``body`` or ``raw``."""
    found = orjson.loads(raw)
    wrapped = isinstance(found, dict) and "sample" in found
    sample: Mapping[str, Any] = found if wrapped else {"body": found}
    config = source.config_model.model_validate(sample.get("config", {}))
    if "raw" not in sample:
        return Delivery(source, orjson.dumps(sample["body"]), sample["body"], sample.get("headers", {}), config)
    body = sample["raw"].encode()
    return Delivery(source, body, _document(body), sample.get("headers", {}), config)


def _document(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _alerts(delivery: Delivery) -> int:
    try:
        return delivery.understand()
    except ParseError:
        return 0


def padded(delivery: Delivery) -> Delivery:
    """This will return the delivery with text added where the source keeps it, until it has about 2 kB."""
    missing = SIZE_BYTES - len(delivery.body)
    if missing <= 0:
        return delivery
    filler = (_FILLER * (missing // len(_FILLER) + 1))[:missing]
    kept = [(_kept(grown), -number, grown) for number, grown in enumerate(_understood(delivery, filler))]
    return max(kept, key=lambda entry: entry[:2])[2] if kept else delivery


def _understood(delivery: Delivery, filler: str) -> Iterator[Delivery]:
    for body, document in _longer(delivery, filler):
        candidate = dataclasses.replace(delivery, body=body, document=document)
        if _alerts(candidate) == 1:
            yield candidate


def _longer(delivery: Delivery, filler: str) -> Iterator[tuple[bytes, Any]]:
    """Each way to add the filler; last the one that adds it to nothing that any source knows."""
    if isinstance(delivery.document, dict):
        documents = [*_with_longer_text(delivery.document, filler), delivery.document | {"x_further_facts": filler}]
        yield from ((orjson.dumps(document), document) for document in documents)
    elif isinstance(delivery.document, list):
        yield from ((orjson.dumps(document), document) for document in _with_longer_text(delivery.document, filler))
    elif FORM in delivery.headers.get("content-type", FORM) and FORM in delivery.source.content_types:
        fields = parse_qsl(delivery.body.decode(), keep_blank_values=True)
        for at, (name, value) in enumerate(fields):
            yield urlencode([*fields[:at], (name, f"{value} {filler}"), *fields[at + 1 :]]).encode(), None
    else:
        yield delivery.body + filler.encode(), None


def _kept(delivery: Delivery) -> int:
    """How much of the description and the annotations the source makes of the delivery."""
    event = delivery.source.parse(delivery.body, delivery.headers, delivery.config)[0]
    return len(event.description) + sum(map(len, event.annotations.values()))


def _with_longer_text(node: Any, filler: str, depth: int = 0) -> Iterator[Any]:
    """Each way to add the filler to one text of the document, down to the fourth level."""
    pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node))[:3]
    for key, inner in pairs:
        changed: Iterator[Any] = iter(())
        if isinstance(inner, str) and len(inner) < SIZE_BYTES:
            changed = iter((f"{inner} {filler}",))
        elif isinstance(inner, dict | list) and depth < 3:
            changed = _with_longer_text(inner, filler, depth + 1)
        for value in changed:
            copy = dict(node) if isinstance(node, dict) else list(node)
            copy[key] = value
            yield copy
