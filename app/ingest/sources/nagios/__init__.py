"""Nagios Core and what took over its commands (Naemon, Shinken): a notification command that posts its macros.

Source: Nagios Core documentation, "Standard macros" (``$NOTIFICATIONTYPE$`` and the rest), read 2026-11. The payload is
ours: the command of docs/how-to/connect-nagios.md makes a JSON object of its ``name=value`` arguments and signs it.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.incidents.schemas import AlertEvent
from app.ingest.contract import AlertSource, NoConfig, load_object
from app.ingest.rules import values
from app.ingest.rules.checks import CHECK_SEVERITIES, CheckNotification, check_event
from app.ingest.rules.fields import prose_at, text_at

_LABELS = ("address", "hostgroups", "servicegroups")


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the notification.

    Raises:
        ParseError: No object, or no host in it.
    """
    sent = {name: value for name, value in load_object(body).items() if not _is_unset(value)}
    notification = CheckNotification(
        kind=text_at(sent, "type", limit=60),
        host=text_at(sent, "host"),
        service=text_at(sent, "service"),
        state=text_at(sent, "state", limit=60),
        output=text_at(sent, "output"),
        # Nagios writes the line breaks of long output as two characters.
        details=prose_at(sent, "long_output").replace("\\n", "\n"),
        changed_at=values.parse_time(sent.get("changed")),
        sent_at=values.parse_time(sent.get("time")),
        author=text_at(sent, "author", limit=200),
        comment=text_at(sent, "comment"),
        labels={name: text_at(sent, name) for name in _LABELS},
        links=(("Notes", sent.get("notes_url")), ("Actions", sent.get("action_url"))),
    )
    return [check_event(notification)]


def _is_unset(value: object) -> bool:
    """A macro that Nagios does not know arrives as it was written, ``$SERVICEDESC$``."""
    return isinstance(value, str) and len(value) > 2 and value[0] == value[-1] == "$" and value[1:-1].isupper()


SOURCE = AlertSource(
    slug="nagios",
    title="Nagios",
    profile="standard_webhooks",
    parse=parse,
    severities=CHECK_SEVERITIES,
    document="https://assets.nagios.com/downloads/nagioscore/docs/nagioscore/4/en/macrolist.html",
    document_date="2026-11",
    setup="Install the notification command of docs/how-to/connect-nagios.md (bash, curl, openssl) with the address "
    "and the secret, and add it to a contact that is notified of problems, recoveries, flapping and downtimes.",
    example={
        "type": "PROBLEM",
        "host": "test-1",
        "service": "A first check",
        "state": "WARNING",
        "output": "WARNING - a notification from Nagios",
        "time": "1767614400",
        "changed": "1767614400",
    },
)
