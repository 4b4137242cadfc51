"""StatusCake's uptime webhooks: a form, posted by a contact group.

Source: StatusCake's knowledge base, "How to use the web hook URL", read 2026-11: ``URL``, ``Token`` (an MD5 digest of
user name and API key), ``Name``, ``StatusCode``, ``Status`` (Up or Down), ``IP``, ``Checkrate``, ``Tags`` (comma
separated). No id of the test and no time are among them: a test is known by its name and its address together, as two
tests may watch one address, and the alert of one that is renamed while it is down has to be resolved by hand.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, FORM, AlertSource, NoConfig, ParseError, load_form_or_object
from app.ingest.rules import fields, values

_STATUSES = {"down": AlertStatus.FIRING, "up": AlertStatus.RESOLVED}


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the test's one event.

    Raises:
        ParseError: No form, or no test or status in it.
    """
    payload = load_form_or_object(body)
    said = fields.text_at(payload, "Status")
    name = fields.text_of(payload.get("Name"), limit=4096)
    url = fields.text_of(payload.get("URL"), limit=4096)
    if not said or not (name or url):
        raise ParseError("body.unexpected_shape", "no uptime alert: Status, or both Name and URL, are missing")
    status = _STATUSES.get(said.lower(), AlertStatus.FIRING)
    code = fields.text_at(payload, "StatusCode")
    because = f": status code {code}" if code not in ("", "0") and status is AlertStatus.FIRING else ""
    shown = name or url
    warnings = [] if said.lower() in _STATUSES else [f"status {said[:40]!r} is not known: taken as down"]
    return [
        AlertEvent(
            dedup_key=fields.compound_key("test", name, url),
            status=status,
            title=values.one_line(f"{shown} is {'up' if status is AlertStatus.RESOLVED else 'down'}{because}"),
            description=fields.facts_of(("URL", url), ("Status code", code), ("IP", fields.text_at(payload, "IP"))),
            raw_severity=said,
            labels=fields.said(
                {
                    "alertname": values.one_line(shown, limit=values.LABEL_VALUE_MAX),
                    "url": values.one_line(url, limit=values.LABEL_VALUE_MAX),
                    "ip": fields.text_at(payload, "IP"),
                    "tags": fields.text_at(payload, "Tags"),
                }
            ),
            links=values.links(("Checked page", url)),
            warnings=fields.bounded(warnings),
        )
    ]


SOURCE = AlertSource(
    slug="statuscake",
    title="StatusCake",
    profile="url_secret",  # its Token is the same digest with every request, and no secret of ours
    parse=parse,
    severities={**COMMON_SEVERITIES, "down": Severity.P1, "up": Severity.P3},
    # The same outage, and its end, are the same bytes each time: a flapping test must not look like a retry.
    replay_window_s=30,
    example={
        "Name": "A first test",
        "URL": "https://example.com/",
        "Status": "Down",
        "StatusCode": "503",
    },
    example_type=FORM,
    content_types=(FORM,),
    document="https://www.statuscake.com/kb/knowledge-base/how-to-use-the-web-hook-url/",
    document_date="2026-11",
    setup="Under Alerting > Contact Groups set the webhook URL of a group to the whole address, secret included, and its "
    "method to POST; then choose the group in each uptime test.",
)
