"""From what a sender said to a value that can be ordered, keyed and stored: the signal."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.incidents.rules.states import AlertStatus, Severity

MAX_DEDUP_KEY = 255
MAX_TITLE = 500
MAX_DESCRIPTION = 16_384
MAX_LABELS = 128
MAX_LABEL_NAME = 128
MAX_LABEL_VALUE = 1_024
MAX_ANNOTATION_VALUE = 4_096
MAX_NOTE = 20_000
MAX_WARNINGS = 20
# A sender whose clock runs ahead further than this is not believed: one firing dated in the year 9999 would
# otherwise make every later resolve look late.
MAX_AHEAD = timedelta(minutes=5)
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
# How far a sender's clock may run ahead for its "over by now" to be believed at once; it repeats it anyway.
LAPSE_TOLERANCE = timedelta(seconds=5)

# PostgreSQL's text and jsonb refuse NUL, UTF-8 refuses lone surrogates; one such character must not sink a batch.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_HASHED = "sha256:"

Order = tuple[datetime, int, int]
"""Event time, delivery sequence, position in the delivery: the order that alert states follow."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One normalised alert event.

    Attributes:
        key: The dedup key as stored.
        group_key: What makes one incident of several alerts; the alert itself where nothing groups.
        order: What decides which of two signals of one alert is newer.
        name: The label ``alertname`` where there is one, else the title.
        started_at: When the sender says that the alert began; never after ``at``.
        ended_at: Of a resolve that is known by a lapsed word alone: when it lapsed. Its order is the firing's, so that
            the sender's next word that holds again brings the alert back, as after a time-out.
        note: What is to be added to the timeline.
        origin: Which word of which delivery this is, the same when the delivery is applied again.
    """

    key: str
    group_key: str
    group_labels: Mapping[str, str]
    status: AlertStatus
    order: Order
    received_at: datetime
    started_at: datetime
    severity: Severity
    raw_severity: str
    title: str
    name: str
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    links: tuple[Mapping[str, str], ...] = ()
    ticket: Mapping[str, str] | None = None
    warnings: tuple[str, ...] = ()
    note: str = ""
    origin: str = ""
    ended_at: datetime | None = None

    @property
    def at(self) -> datetime:
        return self.order[0]


def _storable(text: str) -> str:
    """The pattern looks at each character, forty times as long as encoding takes; hardly a text has what it looks for."""
    if "\x00" not in text:
        try:
            text.encode()
        except UnicodeEncodeError:
            return _UNSTORABLE.sub("", text)
        return text
    return _UNSTORABLE.sub("", text)


def clean(text: str, limit: int) -> str:
    """This will drop what PostgreSQL cannot store and cut to ``limit`` code points, the last one an ellipsis."""
    storable = _storable(text)
    return storable if len(storable) <= limit else storable[: limit - 1] + "…"


def clean_mapping(pairs: Mapping[str, str], *, value_limit: int) -> dict[str, str]:
    """This will return the first ``MAX_LABELS`` pairs by name, each cleaned and cut."""
    cleaned = {clean(str(name), MAX_LABEL_NAME): clean(str(value), value_limit) for name, value in pairs.items()}
    return dict(sorted(cleaned.items())[:MAX_LABELS])


def clean_value(value: Any) -> Any:
    """This will return the JSON value with every text in it storable, at any depth."""
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, Mapping):
        return {_storable(str(name)): clean_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_value(item) for item in value]
    return value


def normalise_dedup_key(raw: str, *, title: str, labels: Mapping[str, str]) -> str:
    """This will return a storable key: the sender's own where it fits, its SHA-256 where it does not.

    A key that already looks hashed is hashed again, so that nobody can aim a short key at a long one. A sender that
    gives none is identified by title and labels.
    """
    key = raw.strip()
    if not key:
        return _HASHED + _digest([title, *map(list, sorted(labels.items()))])
    if len(key) > MAX_DEDUP_KEY or key.startswith(_HASHED) or _UNSTORABLE.search(key):
        return _HASHED + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return key


def origin_of(*, delivery_id: UUID, index: int, key: str) -> str:
    """This will name one word of a delivery; read otherwise (of another alert) it is another word."""
    return hashlib.sha256(f"{delivery_id}:{index}:{key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def group_of(
    *, key: str, labels: Mapping[str, str], sender_group: Mapping[str, str], group_by: Sequence[str]
) -> tuple[str, dict[str, str]]:
    """This will return the group key and the labels that make it.

    The source's declared labels come first, then the sender's own grouping, then the alert by itself. An alert that
    has none of the declared labels stands alone: an incident of "everything without labels" helps nobody.
    """
    declared = {name: labels.get(name, "") for name in group_by}
    if any(declared.values()):
        return "labels:" + _digest(sorted(declared.items())), declared
    if sender_group and not group_by:
        return "labels:" + _digest(sorted(sender_group.items())), dict(sender_group)
    return f"alert:{key}", {}


def settle_time(claimed: datetime | None, received_at: datetime) -> tuple[datetime, str | None]:
    """This will return the time to order by, and a warning where the sender's own could not be used.

    Zero times (Alertmanager's 0001-01-01), times that do not fit into UTC and times ahead of ours stand for the time
    of delivery.
    """
    if claimed is None:
        return received_at, None
    try:
        at = (claimed if claimed.tzinfo else claimed.replace(tzinfo=UTC)).astimezone(UTC)
    except (OverflowError, ValueError):
        return received_at, f"event time {claimed} is out of range; used the time of delivery"
    if at < EARLIEST:
        return received_at, f"event time {claimed.isoformat()} is no date; used the time of delivery"
    if at > received_at + MAX_AHEAD:
        return received_at, f"event time {claimed.isoformat()} is in the future; used the time of delivery"
    return at, None


def settle_status(
    status: AlertStatus, *, valid_until: datetime | None, received_at: datetime
) -> tuple[AlertStatus, datetime | None]:
    """This will return the status, and the time of the end of a firing whose word had lapsed when it arrived.

    Prometheus says nothing else when an alert is over: it repeats it with the end that lies behind it. A word that was
    held up on its way looks the same, so what is concluded here must not outweigh the sender's next one.
    """
    if status is not AlertStatus.FIRING or valid_until is None or valid_until > received_at + LAPSE_TOLERANCE:
        return status, None
    return AlertStatus.RESOLVED, min(valid_until, received_at)


def settle_severity(
    *, given: Severity | None, raw: str, severity_map: Mapping[str, Severity], default: Severity
) -> tuple[Severity, str | None]:
    """This will return the severity by the source's map, and a warning where the sender's word is unknown to it."""
    if given is not None:
        return given, None
    word = raw.strip().lower()
    if word in severity_map:
        return severity_map[word], None
    if word.upper() in Severity.__members__:
        return Severity[word.upper()], None
    warning = f"severity {clean(word, 60)!r} is not in the source's map; used {default}" if word else None
    return default, warning


def incident_title(first_title: str, alert_count: int) -> str:
    """This will name an incident by the alert that opened it and how many came along."""
    suffix = f" (+{alert_count - 1} more)" if alert_count > 1 else ""
    return clean(first_title, MAX_TITLE - len(suffix)) + suffix


def common_labels(left: Mapping[str, str], right: Mapping[str, str]) -> dict[str, str]:
    """This will return the labels on which both agree."""
    return {name: value for name, value in left.items() if right.get(name) == value}


def merge_warnings(*groups: Iterable[str | None]) -> tuple[str, ...]:
    """This will return the warnings once each, in order, cut to a bound."""
    seen = dict.fromkeys(clean(warning, 300) for group in groups for warning in group if warning)
    return tuple(seen)[:MAX_WARNINGS]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()
