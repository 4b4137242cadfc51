"""A synthetic service desk of our own: families of one fault in different words, and tickets that match nothing."""

from __future__ import annotations

from dataclasses import dataclass

# Part, fault, and what solved it; each pair of a part and a fault is a family.
_PARTS = {
    "payment worker": ("checkout", "paying", "pay01"),
    "backup job": ("nightly backup", "backups", "bck-7"),
    "mail gateway": ("outgoing mail", "e-mail", "mx-2"),
    "VPN concentrator": ("remote access", "VPN", "vpn-1"),
    "report server": ("month-end reports", "reporting", "rep03"),
    "print server": ("printing", "printers", "prt-4"),
    "badge reader": ("the door at the entrance", "badges", "acc-9"),
    "search index": ("product search", "searching", "idx-2"),
}
_FAULTS = {
    "out of memory": ("was killed by the kernel, OOM", "runs out of memory", "Raised the memory limit"),
    "disk full": ("No space left on device", "the disk is full", "Removed old files and extended the volume"),
    "certificate expired": (
        "x509: certificate has expired",
        "the certificate is no longer valid",
        "Renewed the certificate",
    ),
    "name lookup": ("Temporary failure in name resolution", "DNS does not answer", "Repaired the resolver settings"),
    "queue stuck": ("consumer group lag keeps growing", "the queue does not drain", "Restarted the consumer"),
}
_STRANGERS = [
    ("New keyboard", "The keys of mine are sticky, may I have a new one?"),
    ("Parking permit", "How do I register my car for the garage?"),
    ("Desk lamp", "It flickers in the evening and hums."),
    ("Holiday form", "Where do I hand in my request for leave?"),
    ("Catering", "Please order sandwiches for twelve guests on Tuesday."),
    ("Plants", "The plant in the corridor needs water."),
    ("Business cards", "Please print two hundred with my new job title."),
    ("Moving offices", "We need boxes for moving to the second floor."),
    ("Heating", "Room 4.12 is too cold in the mornings."),
    ("Headset", "The left ear of my headset crackles."),
]


@dataclass(frozen=True)
class Case:
    """One ticket of a family."""

    family: str
    title: str
    body: str
    resolution: str = ""


def past_cases() -> list[Case]:
    """This will return three solved tickets of each family."""
    cases = []
    for part, (service, _, host) in _PARTS.items():
        for fault, (error, plain, cure) in _FAULTS.items():
            family, resolution = f"{part}/{fault}", f"{cure} of the {part}."
            cases += [
                Case(family, f"{part} down", f"ERROR {part} on {host}: {error}", resolution),
                Case(family, f"Problem with {service}", f"The {part} {plain} since tonight.", resolution),
                Case(family, f"{host} alarm: {fault}", f"Monitoring says {error}. Affects {service}.", resolution),
            ]
    return cases


def questions() -> list[Case]:
    """This will return one new ticket of each family, in words that no past ticket has as a whole."""
    return [
        Case(
            f"{part}/{fault}",
            f"Users complain about {word}",
            f"Hello, since this morning {service} does not work for us. I think the {part} has trouble: {plain}. Thanks!",
        )
        for part, (service, word, _) in _PARTS.items()
        for fault, (_, plain, _) in _FAULTS.items()
    ]


def strangers() -> list[tuple[str, str]]:
    """This will return title and body of tickets that match no family."""
    return list(_STRANGERS)
