"""mail.yaml."""

from __future__ import annotations

from tests.observability_deploy.case import Case, Series, flat, growing

WANTED = "tocsin:mail_wanted"
LISTENER = 'up{job="tocsin-smtp",instance="smtp-1:9104"}'
CONNECTIONS = 'tocsin_smtp_connections_refused_total{reason="%s"}'
MAILS = 'tocsin_smtp_messages_total{outcome="%s"}'
RECIPIENTS = 'tocsin_smtp_recipients_total{outcome="%s"}'


def beside(turned_away: Series, *, taken: float) -> Series:
    """What is turned away each minute, and how many mails are taken."""
    return {MAILS % "accepted": growing(taken), RECIPIENTS % "accepted": growing(taken), **turned_away}


CASES = [
    Case(
        alert="MailListenerDown",
        severity="p1",
        fires={LISTENER: flat(0), LISTENER.replace("1:", "2:"): flat(0)},
        summary="No listener for mail answers",
        silent=[
            {LISTENER: flat(0), LISTENER.replace("1:", "2:"): flat(1)},
            {'up{job="tocsin-api",instance="api-1:9101"}': flat(1)},
        ],
    ),
    Case(
        alert="MailListenerDown",
        severity="p1",
        world="none-is-found-where-one-should-run",
        fires={WANTED: flat(1), 'up{job="tocsin-api",instance="tocsin-api-1"}': flat(1)},
        summary="No listener for mail answers",
        silent=[
            {WANTED: flat(1), LISTENER: flat(1)},
            {WANTED: flat(1), LISTENER: flat(0), LISTENER.replace("1:", "2:"): flat(1)},
            {},
        ],
    ),
    Case(
        alert="MailListenerDown",
        severity="p1",
        world="all-are-found-and-down",
        fires={WANTED: flat(1), LISTENER: flat(0)},
        summary="No listener for mail answers",
        silent=[{WANTED: flat(1), LISTENER: "0x10 1x110"}],
    ),
    *(
        Case(
            alert="MailTurnedAway",
            severity="p2",
            world=world,
            fires=beside({series: growing(12)}, taken=taken),
            summary="60 mails in five minutes are asked to come again later",
            silent=[beside({series: growing(12)}, taken=1300)],
        )
        for world, series, taken in (
            ("crowded", MAILS % "crowded", 600),
            ("not-stored", MAILS % "temporary", 600),
            ("error", MAILS % "failed", 0),
            ("no-database", RECIPIENTS % "unavailable", 0),
            ("commits-wait", RECIPIENTS % "crowded", 600),
            ("full", CONNECTIONS % "full", 600),
        )
    ),
    Case(
        alert="MailTurnedAway",
        severity="p2",
        world="the-sender's-own",
        fires=beside({MAILS % "temporary": growing(60)}, taken=60),
        summary="300 mails in five minutes are asked to come again later",
        silent=[
            beside({RECIPIENTS % reason: growing(60)}, taken=0) for reason in ("unknown", "gone", "paused", "limited")
        ]
        + [
            beside({MAILS % "too_large": growing(60)}, taken=0),
            beside({CONNECTIONS % "peer": growing(60)}, taken=0),
            beside({MAILS % "temporary": flat(1)}, taken=0),
            {},
        ],
    ),
]
