"""What each kind's real sender puts on the wire, as its vendor's pages and its source code have it (read 2026-11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

JSON = "application/json"
JSON_UTF8 = "application/json; charset=UTF-8"
FORM = "application/x-www-form-urlencoded"
TEXT_UTF8 = "text/plain; charset=UTF-8"


@dataclass(frozen=True, kw_only=True)
class Wire:
    """One sender's way of sending.

    Attributes:
        sample: Whose body it sends; its expected file names the alert that must come of it.
        content_type: None where the sender sends no such header.
        agent: What the sender calls itself; it must make no difference.
        headers: What else it sends that matters or might hurt.
        chunked: Sent with Transfer-Encoding: chunked, its length unknown at first.
        path: Where it posts: ``{address}`` is the source's, ``{secret}`` what the key's holder puts into the path.
        says: What of the sender this is, for the id.
    """

    slug: str
    sample: str
    content_type: str | None = JSON
    agent: str = "Go-http-client/1.1"
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False
    path: str = "{address}"
    says: str = ""

    @property
    def name(self) -> str:
        return f"{self.slug}-{self.says}" if self.says else self.slug


WIRES = (
    Wire(slug="alertmanager", sample="firing_group", agent="Alertmanager/0.28.0"),
    Wire(
        slug="azure_monitor",
        sample="metric_fired",
        content_type="application/json; charset=utf-8",
        agent="IcMBroadcaster/1.0",
    ),
    Wire(slug="betterstack", sample="started", agent="Better Stack Better Uptime Outgoing Webhook"),
    Wire(slug="bugsnag", sample="first_exception", agent="BugsnagWebhook"),
    Wire(slug="checkmk", sample="service_problem", agent="curl/8.5.0", headers={"expect": "100-continue"}),
    Wire(slug="cloudevents", sample="structured", content_type="application/cloudevents+json; charset=utf-8"),
    Wire(slug="cloudevents", sample="batch", content_type="application/cloudevents-batch+json", says="batch"),
    Wire(slug="cloudevents", sample="binary", content_type=JSON, says="binary"),
    Wire(slug="cloudevents", sample="binary_text", content_type="text/plain", says="binary-text"),
    Wire(slug="cloudflare", sample="health_check_unhealthy", agent="", headers={"cf-webhook-auth": "{secret}"}),
    # Amazon SNS posts its JSON as text, and its agent is Amazon's; the body is signed by the test.
    Wire(
        slug="cloudwatch",
        sample="alarm",
        content_type=TEXT_UTF8,
        agent="Amazon Simple Notification Service Agent",
        headers={"x-amz-sns-message-type": "Notification"},
    ),
    Wire(slug="datadog", sample="triggered", agent="Datadog/alerts", headers={"accept-encoding": "gzip, deflate"}),
    Wire(slug="dynatrace", sample="open", content_type=JSON_UTF8, agent="Dynatrace"),
    Wire(
        slug="elastalert",
        sample="match",
        agent="python-requests/2.32.3",
        headers={"accept": "application/json;charset=utf-8"},
    ),
    Wire(slug="email", sample="problem", content_type="message/rfc822", agent="curl/8.5.0"),
    Wire(slug="gcp_monitoring", sample="open", agent="Google-Alerts"),
    Wire(slug="generic", sample="defaults", content_type="Application/JSON;Charset=UTF-8"),
    Wire(slug="generic", sample="form", content_type=FORM, agent="curl/8.5.0", says="form"),
    Wire(slug="github", sample="workflow_failed", agent="GitHub-Hookshot/0b1c2d3", headers={"x-github-hook-id": "1"}),
    Wire(
        slug="github",
        sample="form",
        content_type=FORM,
        headers={"x-github-event": "workflow_run", "x-github-delivery": "d-7"},
        says="form",
    ),
    Wire(slug="gitlab", sample="pipeline_failed", agent="GitLab/17.5.1", headers={"idempotency-key": "5c2b"}),
    Wire(slug="grafana", sample="firing", agent="Grafana"),
    # OkHttp names the charset of a text; the older notification sends bytes and names none.
    Wire(slug="graylog", sample="event", content_type="application/json; charset=utf-8", agent="okhttp/4.12.0"),
    Wire(slug="healthchecks", sample="down", agent="healthchecks.io", headers={"expect": "100-continue"}),
    Wire(slug="healthchecks", sample="down", content_type=None, agent="healthchecks.io", says="untyped"),
    Wire(slug="honeycomb", sample="triggered", agent="Honeycomb"),
    Wire(slug="icinga2", sample="problem", agent="curl/7.88.1", headers={"expect": "100-continue"}),
    Wire(
        slug="jira",
        sample="created",
        content_type=JSON_UTF8,
        agent="Atlassian Webhook HTTP Client",
        headers={"x-atlassian-webhook-flow": "Primary"},
    ),
    Wire(slug="kapacitor", sample="critical", chunked=True),
    Wire(slug="kibana", sample="active", agent="axios/1.7.9"),
    Wire(slug="kibana", sample="active", content_type=FORM, agent="axios/1.7.9", says="untyped"),
    Wire(slug="librenms", sample="alert", content_type="text/plain", agent="LibreNMS/24.11.0"),
    Wire(slug="librenms", sample="worse", content_type=JSON, agent="LibreNMS/24.11.0", says="typed-by-the-tenant"),
    Wire(slug="nagios", sample="problem", agent="curl/8.5.0", headers={"expect": "100-continue"}),
    Wire(
        slug="newrelic",
        sample="activated",
        content_type="application/json;charset=UTF-8",
        agent="NewRelic/Notifications",
    ),
    Wire(slug="oncall", sample="alerting", agent="Grafana"),
    Wire(slug="oncall", sample="alerting", path="/integrations/v1/formatted_webhook/{secret}/", says="own-path"),
    Wire(slug="opsgenie", sample="create", content_type=JSON_UTF8, agent="Opsgenie Http Client/1.0"),
    Wire(slug="opsgenie_api", sample="create"),
    Wire(
        slug="opsgenie_api",
        sample="create",
        path="/v2/alerts",
        headers={"authorization": "GenieKey {secret}"},
        says="own-path",
    ),
    Wire(
        slug="pagerduty",
        sample="triggered",
        content_type="application/json; charset=utf-8",
        agent="PagerDuty-Webhook/V3.0",
        headers={"x-webhook-id": "6f2b"},
    ),
    Wire(slug="pagerduty_events", sample="trigger"),
    Wire(
        slug="pagerduty_events",
        sample="trigger",
        content_type=FORM,
        agent="curl/8.5.0",
        path="/v2/enqueue",
        says="own-path",
    ),
    Wire(slug="pingdom", sample="down", agent="Pingdom.com_bot_version_1.4"),
    Wire(slug="prometheus", sample="firing", agent="Prometheus/3.0.0", path="{address}/api/v2/alerts"),
    Wire(slug="riemann", sample="critical", agent="Apache-HttpClient/4.5.13 (Java/17)"),
    Wire(
        slug="riemann",
        sample="critical",
        content_type=TEXT_UTF8,
        agent="Apache-HttpClient/4.5.13 (Java/17)",
        says="untyped",
    ),
    Wire(slug="rollbar", sample="new_item", agent="Rollbar"),
    Wire(slug="sentry", sample="issue_alert", agent="sentry/24.11.0 (https://sentry.io)"),
    Wire(slug="servicedesk", sample="created", content_type="application/json;charset=UTF-8", agent="Java/17"),
    Wire(slug="servicenow", sample="created", agent="ServiceNow/1.0"),
    Wire(slug="splunk", sample="alert", agent="Splunk/A1B2C3D4-0000"),
    Wire(slug="statuscake", sample="down", content_type=FORM, agent="StatusCake"),
    Wire(slug="thousandeyes", sample="trigger", content_type="application/json;charset=UTF-8", agent="ThousandEyes"),
    Wire(
        slug="uptime_kuma", sample="down", agent="axios/0.28.1", headers={"accept": "application/json, text/plain, */*"}
    ),
    Wire(
        slug="uptimerobot",
        sample="down_form",
        content_type=FORM,
        agent="Mozilla/5.0+(compatible; UptimeRobot/2.0)",
        says="form",
    ),
    Wire(
        slug="uptimerobot", sample="down_json", content_type="application/json; charset=utf-8", agent="UptimeRobot/2.0"
    ),
    Wire(slug="vrealize", sample="active", content_type=JSON_UTF8, agent="Apache-HttpClient/4.5.14"),
    Wire(slug="wazuh", sample="severe", agent="python-urllib"),
    Wire(slug="zabbix", sample="problem", agent="Zabbix 7.0.0", headers={"accept-encoding": "gzip"}),
)
