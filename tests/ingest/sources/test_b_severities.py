"""Every word that these senders have for how bad it is has its severity, and a worse word never a lesser one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.incidents.schemas import Severity
from app.ingest.sources import all_sources

# From worst to best, as the vendors list them (read 2026-11).
SCALES: Sequence[tuple[str, Sequence[str]]] = [
    ("pingdom", ["HIGH", "LOW"]),
    ("github", ["critical", "high", "medium", "low"]),  # advisories, and security_severity_level of code scanning
    ("github", ["critical", "high", "moderate", "low"]),  # GHSA's own words
    ("github", ["error", "warning", "note", "none"]),  # rule.severity of code scanning
    ("gitlab", ["critical", "high", "medium", "low"]),  # incidents
    ("gitlab", ["critical", "high", "medium", "low", "info"]),  # vulnerabilities
    ("gitlab", ["production", "staging", "testing", "development", "other"]),  # tiers of environments
    ("jira", ["Highest", "High", "Medium", "Low", "Lowest"]),
    ("jira", ["Blocker", "Critical", "Major", "Minor", "Trivial"]),
    ("servicenow", ["1", "2", "3", "4", "5"]),
    ("opsgenie", ["P1", "P2", "P3", "P4", "P5"]),
    ("splunk", ["6", "5", "4", "3", "2", "1"]),  # fatal, severe, error, warn, info, debug
    ("splunk", ["fatal", "severe", "error", "warn", "info", "debug"]),
    ("splunk", ["critical", "high", "medium", "low", "informational"]),  # urgency in Enterprise Security
    ("graylog", ["critical", "high", "normal", "low"]),
    ("dynatrace", ["AVAILABILITY", "ERROR", "PERFORMANCE", "RESOURCE_CONTENTION", "CUSTOM_ALERT", "INFO"]),
    ("betterstack", ["critical alert", "incident"]),
    ("kibana", ["critical", "warning", "low"]),
]
WITHOUT_RANK = [
    ("dynatrace", "MONITORING_UNAVAILABLE"),
    ("gitlab", "unknown"),
    ("kibana", "active"),
    ("kibana", "nodata"),
    *[(slug, word) for slug in ("uptimerobot", "uptime_kuma", "statuscake") for word in ("down", "up")],
    *[("uptime_kuma", word) for word in ("pending", "maintenance", "expiry")],
    ("uptimerobot", "expiry"),
]


@pytest.mark.parametrize(("slug", "words"), SCALES)
def test_every_word_has_its_severity_and_none_is_above_a_worse_one(slug: str, words: Sequence[str]) -> None:
    table = all_sources()[slug].severities
    found = [table[word.lower()] for word in words]
    assert found == sorted(found, key=list(Severity).index)


@pytest.mark.parametrize(("slug", "word"), WITHOUT_RANK)
def test_words_that_stand_by_themselves_have_a_severity(slug: str, word: str) -> None:
    assert word.lower() in all_sources()[slug].severities


@pytest.mark.parametrize("slug", sorted({slug for slug, _ in SCALES} | {slug for slug, _ in WITHOUT_RANK}))
def test_no_key_of_a_table_is_one_that_no_word_can_meet(slug: str) -> None:
    assert all(word == word.strip().lower() for word in all_sources()[slug].severities)


def test_an_outage_pages_and_a_failed_build_does_not() -> None:
    sources = all_sources()
    assert {sources[slug].severities["down"] for slug in ("uptimerobot", "uptime_kuma", "statuscake")} == {Severity.P1}
    assert sources["github"].severities["failed check"] is Severity.P2
    assert sources["gitlab"].severities["failed pipeline"] is Severity.P2
    assert sources["github"].severities["failed production deployment"] is Severity.P1
