"""Mails: what their words mean, what they may not cost, and that nothing they hold breaks the parser."""

from __future__ import annotations

import time
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.schemas import AlertStatus
from app.ingest.contract import Events, ParseError
from app.ingest.rules import values
from app.ingest.rules.html_text import html_to_text
from app.ingest.sources.email import EmailConfig, parse
from tests.contracts.test_sources import assert_clean

BIG = 5 * 1024 * 1024
HEAD = b"From: a@b.example\r\nSubject: x\r\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
PAGE = HEAD + b"Content-Type: text/html\r\n\r\n"


def read(raw: bytes, headers: dict[str, str] | None = None, **config: Any) -> Events:
    return parse(raw, headers or {}, EmailConfig.model_validate(config))


def of_subject(subject: str, **config: Any) -> Any:
    message = EmailMessage()
    message["From"], message["Subject"] = "mon@example.com", subject
    message.set_content("x")
    (event,) = read(message.as_bytes(), **config)
    return event


# Written like the subjects of senders in the field: Nagios, Icinga, Zabbix, Grafana, Pingdom, UptimeRobot, cron, backup.
SUBJECTS = [
    ("** PROBLEM Service Alert: db-1/Load is CRITICAL **", "firing", "critical"),
    ("** RECOVERY Service Alert: db-1/Load is OK **", "resolved", ""),
    ("[PROBLEM] Disk on web-ok-1 is WARNING", "firing", "warning"),
    ("Problem: High CPU on db", "firing", ""),
    ("Resolved: High CPU on db", "resolved", ""),
    ("[FIRING:1] HighErrorRate (shop)", "firing", ""),
    ("[RESOLVED] HighErrorRate (shop)", "resolved", ""),
    ("DOWN alert: shop (shop.example.com) is DOWN", "firing", ""),
    ("UP alert: shop (shop.example.com) is UP", "resolved", ""),
    ("Monitor is UP: shop", "resolved", ""),
    ("Re: Fwd: [OK] queue", "resolved", ""),
    ("Low disk space on db-1", "firing", ""),
    ("Backup failed", "firing", ""),
    ("Severity: high, disk db-1", "firing", "high"),
    ("[P1] checkout is slow", "firing", "p1"),
    ("Backup of recovery.example.com started", "firing", ""),
    ("host db changed state to OK", "resolved", ""),
    ("checkout latency back to normal", "resolved", ""),
    ("Disk alarm cleared", "resolved", ""),
    ("Alert resolved: CPU", "resolved", ""),
    ("Problem has been resolved: CPU", "resolved", ""),
    ("Alert: resolved.conf changed", "firing", ""),
    ("** ACKNOWLEDGEMENT Host Alert: db-1 is DOWN **", "acknowledged", ""),
    ("New login from an OK browser", "firing", ""),
    ("", "firing", ""),
]


@pytest.mark.parametrize(
    ("subject", "status", "severity"), SUBJECTS, ids=[subject or "empty" for subject, *_ in SUBJECTS]
)
def test_the_words_of_a_subject(subject: str, status: str, severity: str) -> None:
    event = of_subject(subject)
    assert (event.status.value, event.raw_severity) == (status, severity)


@pytest.mark.parametrize(
    ("firing", "over"),
    [
        ("** PROBLEM Service Alert: db-1/Load is CRITICAL **", "** RECOVERY Service Alert: db-1/Load is OK **"),
        ("[FIRING:1] HighErrorRate (shop)", "[RESOLVED] HighErrorRate (shop)"),
        ("Problem: High CPU on db", "Resolved: High CPU on db"),
        ("Monitor is DOWN: shop", "Monitor is UP: shop"),
        ("Disk full on db", "RE: Disk full on db"),
    ],
)
def test_a_problem_and_its_recovery_are_one_alert(firing: str, over: str) -> None:
    if "FIRING" in firing:  # the number of alerts is part of the subject
        over = over.replace("RESOLVED", "RESOLVED:1")
    assert of_subject(firing).dedup_key == of_subject(over).dedup_key


@pytest.mark.parametrize(("one", "other"), [("High load on db", "Low load on db"), ("Disk 1 full", "Disk 2 full")])
def test_two_things_are_two_alerts(one: str, other: str) -> None:
    assert of_subject(one).dedup_key != of_subject(other).dedup_key


def test_words_of_the_tenants_own() -> None:
    config = {"resolved_values": ["entwarnung"]}
    assert of_subject("Entwarnung: Pumpe 3", **config).status is AlertStatus.RESOLVED
    assert of_subject("Pumpe 3 is OK", **config).status is AlertStatus.FIRING


NO_ALERTS = {
    "auto-replied": (b"Auto-Submitted: auto-replied (vacation)\r\n", {}),
    "junk": (b"Precedence: junk\r\n", {}),
    "bulk reply": (b"Precedence: bulk\r\nIn-Reply-To: <1@x>\r\n", {}),
    "x-autoreply": (b"X-Autoreply: yes\r\n", {}),
    "empty envelope": (b"X-A: b\r\n", {"x-envelope-from": ""}),
    "return path": (b"Return-Path: < >\r\n", {}),
    "report": (b"Content-Type: multipart/report; boundary=x\r\n", {}),
    "own": (b"X-Tocsin-Notification: 1\r\n", {}),
    "loop": (b"Received: by a\r\n" * 101, {}),
}


@pytest.mark.parametrize("name", NO_ALERTS)
def test_what_is_no_alert_says_why_and_can_be_taken(name: str) -> None:
    lines, headers = NO_ALERTS[name]
    raw = lines + HEAD + b"\r\ntext"
    found = read(raw, headers)
    assert (list(found), len(found.notes)) == ([], 1)
    assert found.notes[0].startswith("no alert: ")
    assert len(read(raw, headers, automatic="take")) == 1


@pytest.mark.parametrize("line", [b"Auto-Submitted: auto-generated", b"Precedence: list", b"Auto-Submitted: no"])
def test_what_monitors_send_is_an_alert(line: bytes) -> None:
    assert len(read(line + b"\r\n" + HEAD + b"\r\n")) == 1


BOMBS = {
    "nested without end": MIXED + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 90_000,
    "nested, each its own": HEAD
    + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(80_000)),
    "400,000 parts": (MIXED + b"--b\r\n\r\nx\r\n" * 400_000)[:BIG],
    "lines like boundaries": MIXED + b"--bX\r\n" * 800_000,
    "boundaries on one line": MIXED + b"--b" * 1_700_000,
    "one huge field": b"Subject: " + b"a" * BIG + b"\r\n\r\nx",
    "300,000 fields": b"".join(b"X-%d: a\r\n" % n for n in range(300_000)) + b"\r\nx",
    "a field folded for ever": b"Subject: a\r\n" + b" a\r\n" * 1_200_000 + b"\r\nx",
    "nested comments": b"From: " + b"(" * 60_000 + b"\r\n\r\nx",
    "addresses without end": b"From: " + b"a@b.example," * 5_000 + b"\r\n\r\nx",
    "groups in groups": b"From: " + b"a:" * 30_000 + b"\r\n\r\nx",
    "quoted quotes": b"From: " + b'"\\"' * 15_000 + b"\r\n\r\nx",
    "encoded words": HEAD[:-1] + b"" + b"\nSubject: " + b"=?utf-8?q?a?= " * 4_000 + b"\r\n\r\nx",
    "parameters": HEAD + b"Content-Type: text/plain;" + b" a*0*=x;" * 9_000 + b"\r\n\r\nx",
    "tags": PAGE + b"<p>" * 1_700_000,
    "tags never closed": PAGE + b"<a href='" * 500_000,
    "comments never closed": PAGE + b"<!--" * 1_300_000,
    "scripts never closed": PAGE + b"<script>" * 600_000,
    "an entity of five million digits": PAGE + b"&#" + b"9" * BIG,
    "base64": HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUFB" * 1_300_000,
    "line ends": HEAD + b"\r\n" + b"\r\n" * 2_600_000,
    "nul": HEAD + b"\r\n" + b"\x00" * BIG,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_mail_bomb_costs_little_and_is_an_alert_all_the_same(name: str) -> None:
    started = time.process_time()
    (event,) = read(BOMBS[name])
    assert time.process_time() - started < 2.0
    assert_clean([event])


@pytest.mark.parametrize(
    "charset",
    ["unicode_escape", "utf-7", "zip", "hex", "rot13", "punycode", "idna", "undefined", "x" * 200, "mbcs", "é"],
)
def test_a_character_set_that_is_none_is_not_believed(charset: str) -> None:
    raw = (
        HEAD
        + f'Content-Type: text/plain; charset="{charset}"\r\n\r\n'.encode()
        + b"+ADw-script+AD4- \\u0041 caf\xc3\xa9"
    )
    (event,) = read(raw)
    assert event.description.startswith("+ADw-script+AD4- \\u0041 caf")
    assert event.warnings


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a<br>b", "a\nb"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("1 < 2 &lt; 3", "1 < 2 < 3"),
        ("<scr<script>ipt>alert(1)</script>x", "ipt>alert(1)x"),
        ("<SCRIPT>x</ScRiPt>y", "y"),
        ("<script>never closed", ""),
        ("a<!-- b --><!-->c", "a"),
        ("<td>a</td><td>b</td>", "a b"),
        ("&lt;b&gt; &amp;lt;", "<b> &lt;"),
        ("&#x41;&#99999999999;b", "Ab"),
        ("İ<STYLE>x</style>y", "İy"),
    ],
)
def test_a_page_is_read_as_text(page: str, text: str) -> None:
    assert html_to_text(page) == text


FIELDS = st.sampled_from(
    [
        *("From", "To", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding"),
        *("Content-Disposition", "X-Priority", "Importance", "Auto-Submitted", "Received", "Precedence", "X"),
    ]
)
WORDS = st.sampled_from(
    [
        *("multipart/mixed; boundary=b", "multipart/alternative; boundary=b", "text/html; charset=utf-16", "base64"),
        *(
            "=?utf-8?b?//8=?=",
            "=?x?q?=ff?=",
            '"a" <b@c>',
            "attachment; filename*=utf-8''%00",
            "text/plain; charset*0=u",
        ),
        *(
            "quoted-printable",
            "Mon, 99 Foo 9999 99:99:99 +9999",
            "<>",
            "(((",
            "a:b;",
            "=?utf-8?q?a\x00b?=",
            "message/rfc822",
        ),
    ]
)
LINE = st.one_of(
    st.builds("{}: {}".format, FIELDS, st.one_of(WORDS, st.text(max_size=30))),
    st.sampled_from(["", "--b", "--b--", " folded", "From x", "\t", ".", "<p>a<script>", "=41=\x00", "QUFB"]),
    st.text(max_size=20),
)


@given(
    lines=st.lists(LINE, max_size=25), end=st.sampled_from(["\r\n", "\n"]), codec=st.sampled_from(["utf-8", "utf-16"])
)
def test_any_mail_gives_clean_events_or_a_parse_error(lines: list[str], end: str, codec: str) -> None:
    raw = end.join(lines).encode(codec, "surrogatepass")
    try:
        events = read(raw)
    except ParseError:
        return
    assert len(events) + len(events.notes) == 1
    assert_clean(events)


@given(raw=st.binary(max_size=300))
def test_any_bytes_give_clean_events_or_a_parse_error(raw: bytes) -> None:
    try:
        events = read(b"From: a@b\r\n" + raw)
    except ParseError:
        return
    assert_clean(events)
    assert all(len(event.description) <= values.DESCRIPTION_MAX for event in events)
