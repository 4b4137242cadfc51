"""Mail: what arrives at a source's own address, by the same expressions as any payload."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from app.incidents.schemas import AlertEvent
from app.ingest.contract import AlertSource, Events, Ignored, ParseError
from app.ingest.rules import values
from app.ingest.sources.email.automatic import why_no_alert
from app.ingest.sources.email.headers import Headers, read_headers, split_mail
from app.ingest.sources.email.mime import read_content
from app.ingest.sources.email.words import about, importance, severity_word, state_word, tokens
from app.ingest.sources.generic.config import Expression, MappingConfig, Value, Words
from app.ingest.sources.generic.mapping import Mapper, events_of

RFC822 = "message/rfc822"
_URL = re.compile(r"https?://[^\s<>\"'`{}|\\^\[\]]{3,2000}")
_URLS_MAX = 20
_SHOWN_HEADERS = 100
_SHOWN_CHARS = 1000
# A Date as nearly every mailer writes it; the standard library's reader of any other takes ten times as long.
_PLAIN_DATE = re.compile(
    r"(?:[A-Z][a-z]{2}, )?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)", re.ASCII
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name: f"{number:02}" for number, name in enumerate(_MONTHS, start=1)}
_PRIORITIES = ("x-priority", "importance", "priority", "x-msmail-priority")
# They name the source's own address, which is its secret.
_RECIPIENTS = frozenset(
    {"to", "cc", "bcc", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "received", "x-rcpt-to"}
    | {"resent-to", "apparently-to", "authentication-results", "return-path", "x-forwarded-to"}
)


class EmailConfig(MappingConfig):
    """The mapping of one mail.

    The expressions see ``subject``, ``from``, ``from_name``, ``text``, ``date``, ``message_id``, ``headers``, ``urls``,
    ``attachments`` and what the subject's words say: ``state_word``, ``severity_word``, ``importance`` and ``about``, the
    subject without those words.

    Attributes:
        prefer: Which text counts where a mail has both.
        automatic: Whether automatic answers and returned mails are alerts.
    """

    title: Value = "subject"
    description: Value = "text"
    dedup: tuple[Value, ...] = ('"from"', "about")
    status: Value = "state_word"
    resolved_values: Words = (
        *("recovery", "recovered", "resolved", "resolve", "ok", "up", "closed", "cleared", "normal", "restored"),
        *("solved", "green", "success", "succeeded", "inactive", "fixed"),
    )
    acknowledged_values: Words = ("acknowledged", "acknowledgement", "acknowledgment", "acked", "ack")
    severity: Value = "severity_word || importance"
    event_time: Value = "date"
    labels_from: Expression = "labels"
    url: Value = "url"
    prefer: Literal["text", "html"] = "text"
    automatic: Literal["ignore", "take"] = "ignore"


class MailMapper(Mapper[EmailConfig]):
    """Maps one mail; raises ParseError where the bytes are none."""

    def __init__(self, body: bytes, headers: Mapping[str, str], config: EmailConfig) -> None:
        block, content = split_mail(body.removeprefix(b"\xef\xbb\xbf"))
        self._headers = read_headers(block)
        if not self._headers.fields:
            raise ParseError("body.unexpected_shape", "the body is no mail: it begins with no header field")
        self._no_alert = why_no_alert(self._headers, headers) if config.automatic == "ignore" else None
        found = read_content(self._headers, content)
        self._warnings = found.warnings
        if self._headers.is_cut:
            self._warnings.append("the mail has more header fields than were read")
        document = {
            **_facts(self._headers, config),
            "text": found.text(prefer_html=config.prefer == "html"),
            "attachments": [{"name": name, "type": media} for name, media in found.attachments],
        }
        document["urls"] = [url.rstrip(".,;:!?)") for url in _URL.findall(document["text"])[:_URLS_MAX]]
        super().__init__(config, headers=headers, document=document)

    def each(self) -> Iterator[AlertEvent | Ignored]:
        """This will map the mail, or say why it is no alert."""
        if self._no_alert is not None:
            yield Ignored(self._no_alert)
            return
        for item in self.items():
            yield self.map(item, warnings=self._warnings)

    def standing_labels(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """This will return who the mail is from."""
        return {"from": item["from"]} if item.get("from") else {}


def _facts(headers: Headers, config: EmailConfig) -> dict[str, Any]:
    """What the expressions see of the header fields."""
    subject = values.one_line(headers.text("subject"))
    words = tokens(subject)
    address, name = headers.mailbox("from")
    over, taken = config.resolved_values, config.acknowledged_values
    return {
        "subject": subject or None,
        "from": values.one_line(address, limit=320),
        "from_name": values.one_line(name, limit=200),
        "date": _date(headers.first("date")),
        "message_id": values.one_line(headers.first("message-id"), limit=998) or None,
        "state_word": state_word(words, over=over, taken=taken) or None,
        "severity_word": severity_word(words) or None,
        "importance": importance([said for name in _PRIORITIES if (said := headers.first(name))]) or None,
        "about": about(words, states={*over, *taken}),
        "headers": {
            name: _short(headers.text(name))
            for name in list(headers.fields)[:_SHOWN_HEADERS]
            if name not in _RECIPIENTS
        },
    }


def _short(line: str) -> str:
    return line if len(line) <= _SHOWN_CHARS else values.one_line(line, limit=_SHOWN_CHARS)


def _date(raw: str) -> str | None:
    """The time of the Date field; a wrong one is left to the time of delivery."""
    glance = _PLAIN_DATE.fullmatch(raw)
    month = _MONTH_NUMBERS.get(glance[2]) if glance is not None else None
    if glance is not None and month is not None:
        found = values.parse_time(f"{glance[3]}-{month}-{glance[1]:0>2}T{glance[4]}{glance[5]}:{glance[6]}")
    else:
        try:
            found = values.parse_time(parsedate_to_datetime(raw[:100]).isoformat()) if raw else None
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return found.isoformat() if found is not None else None


def parse(body: bytes, headers: Mapping[str, str], config: EmailConfig) -> Events:
    """This will return the mail's alert, or none with the reason among the notes.

    Raises:
        ParseError: The bytes are no mail, or the mapping costs too much.
    """
    return events_of(MailMapper(body, headers, config))


def new_secret() -> str:
    """This will make a secret that fits into an address: short, and the same in lower case, as many senders write it."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    return "".join(secrets.choice(alphabet) for _ in range(32))


SOURCE = AlertSource(
    slug="email",
    title="Email",
    profile="url_secret",
    config_model=EmailConfig,
    parse=parse,
    explain=MailMapper,
    content_types=(RFC822,),
    make_secret=new_secret,
    example_type=RFC822,
    example_text="From: monitor@example.com\nTo: alerts@example.com\nSubject: A first alert\n\nThe disk is full.\n",
    document="https://www.rfc-editor.org/rfc/rfc5322",
    document_date="2008-10",
    setup="Let the sender mail to the source's own address; whoever knows it can send. A mail server of yours may "
    "post mails to the URL instead, with the content type message/rfc822.",
)
