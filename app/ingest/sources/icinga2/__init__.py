"""Icinga 2: a NotificationCommand that posts its run-time macros.

Source: Icinga 2 documentation, "Monitoring basics", Notifications and run-time macros (``notification.type``,
``service.state``, ``service.last_state_change``), read 2026-11. The payload is ours: the command of
docs/how-to/connect-nagios.md makes a JSON object of its ``name=value`` arguments and signs it.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.incidents.schemas import AlertEvent
from app.ingest.contract import AlertSource, NoConfig, load_object
from app.ingest.rules import values
from app.ingest.rules.checks import CHECK_SEVERITIES, CheckNotification, check_event
from app.ingest.rules.fields import prose_at, text_at, time_at

_LABELS = ("address", "zone", "check_source", "hostgroups", "servicegroups")


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the notification.

    Raises:
        ParseError: No object, or no host in it.
    """
    sent = {name: value for name, value in load_object(body).items() if not _is_unset(value)}
    output, _, more = prose_at(sent, "output").partition("\n")
    notification = CheckNotification(
        kind=text_at(sent, "type", limit=60),
        host=text_at(sent, "host"),
        service=text_at(sent, "service"),
        state=text_at(sent, "state", limit=60),
        output=values.one_line(output, limit=values.LABEL_VALUE_MAX),
        details=more,
        changed_at=time_at(sent, "changed"),
        sent_at=time_at(sent, "time"),
        author=text_at(sent, "author", limit=200),
        comment=text_at(sent, "comment"),
        shown_host=text_at(sent, "host_display"),
        shown_service=text_at(sent, "service_display"),
        labels={name: text_at(sent, name) for name in _LABELS},
        links=(("Notes", sent.get("notes_url")), ("Icinga Web", sent.get("web_url"))),
    )
    return [check_event(notification)]


def _is_unset(value: object) -> bool:
    """A macro that was not there arrives as it was written, ``$service.name$``."""
    return isinstance(value, str) and len(value) > 2 and value[0] == value[-1] == "$" and "." in value


SOURCE = AlertSource(
    slug="icinga2",
    title="Icinga 2",
    profile="standard_webhooks",
    parse=parse,
    severities=CHECK_SEVERITIES,
    document="https://icinga.com/docs/icinga-2/latest/doc/03-monitoring-basics/#notifications",
    document_date="2026-11",
    setup="Install the notification command of docs/how-to/connect-nagios.md (bash, curl, openssl) with the address "
    "and the secret, and apply its Notification to hosts and services with all types.",
    example={
        "type": "PROBLEM",
        "host": "test-1",
        "service": "first-check",
        "state": "WARNING",
        "output": "A notification from Icinga 2",
        "time": "1767614400",
        "changed": "1767614400.0",
    },
)
