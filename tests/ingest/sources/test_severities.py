"""Every word that a sender has for how bad it is has its severity here, and a worse word never a lesser one."""

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
    ("kapacitor", ["critical", "warning", "info", "ok"]),
    ("rollbar", ["critical", "error", "warning", "info", "debug"]),
    ("bugsnag", ["projectspiking", "error", "warning", "info"]),
    ("riemann", ["critical", "warning", "ok"]),
    ("thousandeyes", ["critical", "major", "minor", "info"]),
    ("vrealize", ["critical", "immediate", "warning", "information", "none"]),
    ("wazuh", [str(level) for level in range(15, -1, -1)]),
    ("librenms", ["critical", "warning", "ok"]),
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

# Of Cloudflare's Alerting API, the values of ``alert_type``; read 2026-11.
ALERT_TYPES = """
    access_custom_certificate_expiration_type advanced_ddos_attack_l4_alert advanced_ddos_attack_l7_alert
    advanced_http_alert_error bgp_hijack_notification billing_usage_alert block_notification_block_removed
    block_notification_new_block block_notification_review_rejected bot_traffic_basic_alert brand_protection_alert
    brand_protection_digest clickhouse_alert_fw_anomaly clickhouse_alert_fw_ent_anomaly
    cloudforce_one_request_notification custom_analytics custom_bot_detection_alert custom_ssl_certificate_event_type
    dedicated_ssl_certificate_event_type device_connectivity_anomaly_alert dos_attack_l4 dos_attack_l7
    expiring_service_token_alert failing_logpush_job_disabled_alert fbm_auto_advertisement fbm_dosd_attack
    fbm_volumetric_attack health_check_status_notification hostname_aop_custom_certificate_expiration_type
    http_alert_edge_error http_alert_origin_error image_notification image_resizing_notification incident_alert
    load_balancing_health_alert load_balancing_pool_enablement_alert logo_match_alert magic_tunnel_health_check_event
    magic_wan_tunnel_health maintenance_event_notification mtls_certificate_store_certificate_expiration_type
    pages_event_alert radar_notification real_origin_monitoring scriptmonitor_alert_new_code_change_detections
    scriptmonitor_alert_new_hosts scriptmonitor_alert_new_malicious_hosts scriptmonitor_alert_new_malicious_scripts
    scriptmonitor_alert_new_malicious_url scriptmonitor_alert_new_max_length_resource_url
    scriptmonitor_alert_new_resources secondary_dns_all_primaries_failing secondary_dns_primaries_failing
    secondary_dns_warning secondary_dns_zone_successfully_updated secondary_dns_zone_validation_warning
    security_insights_alert sentinel_alert stream_live_notifications synthetic_test_latency_alert
    synthetic_test_low_availability_alert traffic_anomalies_alert tunnel_health_event tunnel_update_event
    universal_ssl_event_type web_analytics_metrics_update workers_alert zone_aop_custom_certificate_expiration_type
"""


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


@pytest.mark.parametrize("alert_type", ALERT_TYPES.split())
def test_every_alert_type_of_cloudflare_has_its_severity(alert_type: str) -> None:
    assert alert_type in all_sources()["cloudflare"].severities
