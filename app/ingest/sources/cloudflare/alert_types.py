"""How bad each type of Cloudflare's notifications is, as long as the tenant says nothing else.

Source: Cloudflare's Alerting API, ``alert_type`` of a notification policy, and "Available Notifications", read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.incidents.schemas import Severity

# Visitors are served errors or nothing, or someone attacks, now.
_URGENT = (
    "advanced_ddos_attack_l4_alert",
    "advanced_ddos_attack_l7_alert",
    "advanced_http_alert_error",
    "bgp_hijack_notification",
    "dos_attack_l4",
    "dos_attack_l7",
    "fbm_dosd_attack",
    "fbm_volumetric_attack",
    "health_check_status_notification",
    "http_alert_edge_error",
    "http_alert_origin_error",
    "incident_alert",
    "load_balancing_health_alert",
    "magic_tunnel_health_check_event",
    "magic_wan_tunnel_health",
    "real_origin_monitoring",
    "scriptmonitor_alert_new_malicious_hosts",
    "scriptmonitor_alert_new_malicious_scripts",
    "scriptmonitor_alert_new_malicious_url",
    "secondary_dns_all_primaries_failing",
    "sentinel_alert",
    "synthetic_test_low_availability_alert",
    "tunnel_health_event",
    "workers_observability_alert",
)
# It will hurt unless someone looks at it in working hours.
_SOON = (
    "abuse_report_alert",
    "access_custom_certificate_expiration_type",
    "block_notification_new_block",
    "bot_traffic_basic_alert",
    "brand_protection_alert",
    "clickhouse_alert_fw_anomaly",
    "clickhouse_alert_fw_ent_anomaly",
    "custom_analytics",
    "custom_bot_detection_alert",
    "custom_ssl_certificate_event_type",
    "dedicated_ssl_certificate_event_type",
    "device_connectivity_anomaly_alert",
    "expiring_service_token_alert",
    "failing_logpush_job_disabled_alert",
    "fbm_auto_advertisement",
    "hostname_aop_custom_certificate_expiration_type",
    "load_balancing_pool_enablement_alert",
    "logo_match_alert",
    "mtls_certificate_store_certificate_expiration_type",
    "scriptmonitor_alert_new_code_change_detections",
    "scriptmonitor_alert_new_hosts",
    "scriptmonitor_alert_new_max_length_resource_url",
    "scriptmonitor_alert_new_resources",
    "secondary_dns_primaries_failing",
    "secondary_dns_warning",
    "secondary_dns_zone_validation_warning",
    "security_insights_alert",
    "synthetic_test_latency_alert",
    "traffic_anomalies_alert",
    "universal_ssl_event_type",
    "workers_alert",
    "zone_aop_custom_certificate_expiration_type",
)
# Good to know.
_NOTICES = (
    "billing_usage_alert",
    "block_notification_block_removed",
    "block_notification_review_rejected",
    "brand_protection_digest",
    "cloudforce_one_request_notification",
    "image_notification",
    "image_resizing_notification",
    "maintenance_event_notification",
    "pages_event_alert",
    "radar_notification",
    "secondary_dns_zone_successfully_updated",
    "stream_live_notifications",
    "tunnel_update_event",
    "web_analytics_metrics_update",
)

ALERT_TYPES: Mapping[str, Severity] = {
    **dict.fromkeys(_URGENT, Severity.P1),
    **dict.fromkeys(_SOON, Severity.P2),
    **dict.fromkeys(_NOTICES, Severity.P3),
}
