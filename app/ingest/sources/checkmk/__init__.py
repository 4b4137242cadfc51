"""Checkmk: a notification plug-in that posts its environment.

Source: Checkmk user guide, "Notifications", the environment variables of notification scripts, read 2026-11. A plug-in
finds all that there is to know in variables named ``NOTIFY_...``; ours, in docs/how-to/connect-nagios.md, posts them as
a JSON object (without its own parameters and the contact's data) and signs it. The prefix may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent
from app.ingest.contract import AlertSource, Events, NoConfig, load_object
from app.ingest.rules import values
from app.ingest.rules.checks import CHECK_SEVERITIES, CheckNotification, check_event
from app.ingest.rules.fields import prose_at, text_at

_PREFIX = "NOTIFY_"
_LABELS = {
    "HOSTADDRESS": "address",
    "HOSTGROUPNAMES": "hostgroups",
    "SERVICEGROUPNAMES": "servicegroups",
    "OMD_SITE": "site",
}
_LABELS_MAX = 20


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the notification; nothing for a report on an alert handler.

    Raises:
        ParseError: No object, or no host in it.
    """
    sent = {
        name.removeprefix(_PREFIX): value for name, value in load_object(body).items() if not _is_unset(name, value)
    }
    kind = text_at(sent, "NOTIFICATIONTYPE", limit=60)
    if kind.upper().startswith("ALERTHANDLER"):
        return Events(notes=["a report on an alert handler: no alert"])
    what = "SERVICE" if text_at(sent, "WHAT", limit=20).upper() != "HOST" and text_at(sent, "SERVICEDESC") else "HOST"
    notification = CheckNotification(
        kind=kind,
        host=text_at(sent, "HOSTNAME"),
        service=text_at(sent, "SERVICEDESC") if what == "SERVICE" else "",
        state=text_at(sent, f"{what}STATE", f"{what}SHORTSTATE", limit=60),
        output=text_at(sent, f"{what}OUTPUT"),
        details=prose_at(sent, f"LONG{what}OUTPUT").replace("\\n", "\n"),
        changed_at=values.parse_time(sent.get(f"LAST{what}STATECHANGE")),
        sent_at=values.parse_time(sent.get("MICROTIME")),
        author=text_at(sent, "NOTIFICATIONAUTHOR", f"{what}ACKAUTHOR", limit=200),
        comment=text_at(sent, "NOTIFICATIONCOMMENT", f"{what}ACKCOMMENT"),
        labels=_labels(sent),
        links=(("Checkmk", _url(sent, what)), ("Notes", sent.get(f"{what}NOTESURL"))),
    )
    return [check_event(notification)]


def _is_unset(name: str, value: object) -> bool:
    """A macro that was not there arrives as it was written, ``$SERVICEDESC$``."""
    return value == "" or (isinstance(value, str) and value == f"${name.removeprefix(_PREFIX)}$")


def _labels(sent: Mapping[str, Any]) -> dict[str, str]:
    found = {label: text_at(sent, name) for name, label in _LABELS.items()}
    # Labels that people gave their hosts and services in Checkmk itself.
    own = [name for name in sent if name.startswith(("HOSTLABEL_", "SERVICELABEL_")) and name[-1] != "_"]
    return values.clean_mapping({name.partition("_")[2]: sent[name] for name in own[:_LABELS_MAX]}) | found


def _url(sent: Mapping[str, Any], what: str) -> str:
    """The address of the view; Checkmk gives its path, and its server's name apart."""
    path = text_at(sent, f"{what}URL", limit=values.URL_MAX)
    server = text_at(sent, "MONITORING_HOST")
    if path.startswith("/") and server:
        return f"https://{server}/{text_at(sent, 'OMD_SITE')}{path}"
    return path


SOURCE = AlertSource(
    slug="checkmk",
    title="Checkmk",
    profile="standard_webhooks",
    parse=parse,
    severities={
        **CHECK_SEVERITIES,
        "warn": CHECK_SEVERITIES["warning"],
        "crit": CHECK_SEVERITIES["critical"],
        "unkn": CHECK_SEVERITIES["unknown"],
        "unre": CHECK_SEVERITIES["unreachable"],
        "unreach": CHECK_SEVERITIES["unreachable"],
        "pend": CHECK_SEVERITIES["pending"],
    },
    document="https://docs.checkmk.com/latest/en/notifications.html#environment_variables",
    document_date="2026-11",
    setup="Install the notification plug-in of docs/how-to/connect-nagios.md and make a notification rule with it; its "
    "parameters are the address and the secret.",
    example={
        "NOTIFY_WHAT": "SERVICE",
        "NOTIFY_NOTIFICATIONTYPE": "PROBLEM",
        "NOTIFY_HOSTNAME": "test-1",
        "NOTIFY_SERVICEDESC": "A first check",
        "NOTIFY_SERVICESTATE": "WARNING",
        "NOTIFY_SERVICEOUTPUT": "A notification from Checkmk",
        "NOTIFY_MICROTIME": "1767614400000000",
    },
)
