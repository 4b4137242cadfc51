"""Mails that are no alert: answers of machines, mails that came back, mails that go in a circle.

``Auto-Submitted: auto-generated`` is not among them: it marks what a program sends on its own account, as monitors do.
Source: RFC 3834, sections 2 and 5; RFC 3464 (reports); RFC 5321, sections 4.5.5 (empty sender) and 6.3 (loops).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.ingest.sources.email.headers import Headers

ENVELOPE_FROM = "x-envelope-from"
"""What the listener keeps of the SMTP dialogue beside the mail itself."""
OWN_MAIL = "x-tocsin-notification"
"""On every mail that Tocsin sends; one that comes back must not become an alert about itself."""

_HOPS_MAX = 100
_ANSWERS = ("automatic reply:", "auto:", "autoreply:", "out of office", "abwesenheitsnotiz", "automatische antwort")
_SUBMITTED_END = re.compile(r"[;(\s]")
_MACHINES = ("mailer-daemon", "postmaster")


def why_no_alert(headers: Headers, envelope: Mapping[str, str]) -> str | None:
    """This will return why a mail is no alert, or None."""
    return _circle(headers) or _returned(headers, envelope) or _answered(headers)


def _circle(headers: Headers) -> str | None:
    if headers.count(OWN_MAIL):
        return "a notification of our own that came back"
    if headers.count("received") > _HOPS_MAX:
        return f"it went through more than {_HOPS_MAX} hosts: a mail loop"
    return None


def _returned(headers: Headers, envelope: Mapping[str, str]) -> str | None:
    sender = envelope.get(ENVELOPE_FROM)
    if sender is not None and sender.strip() in ("", "<>"):
        return "it has no sender: a report about an undelivered mail"
    if headers.first("return-path").replace(" ", "") == "<>":
        return "its return path is empty: a report about an undelivered mail"
    media, _ = headers.content_type()
    if media == "multipart/report":
        return "a report about another mail"
    if headers.mailbox("from")[0].partition("@")[0] in _MACHINES:
        return "it is from a mail server itself"
    return None


def _answered(headers: Headers) -> str | None:
    submitted = _SUBMITTED_END.split(headers.first("auto-submitted").lower(), maxsplit=1)[0]
    if submitted in ("auto-replied", "auto-notified"):
        return f"an automatic answer (Auto-Submitted: {submitted})"
    precedence = headers.first("precedence").strip().lower()
    if precedence in ("auto_reply", "auto-reply", "junk"):
        return f"an automatic answer (Precedence: {precedence})"
    if precedence == "bulk" and headers.count("in-reply-to") and not submitted.startswith("auto-generated"):
        return "an automatic answer (Precedence: bulk, in reply to another mail)"
    for name in ("x-autoreply", "x-autorespond", "x-autoresponder"):
        if headers.count(name):
            return f"an automatic answer ({name.title()})"
    if headers.text("subject").lower().startswith(_ANSWERS):
        return "an automatic answer, by its subject"
    return None
