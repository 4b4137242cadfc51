"""What may leave for a model: no secret ever, and names of people, hosts and addresses only as placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NewType

from app.core.redaction import remove_secrets
from app.enhancement.rules.entities import extract

# Only ``Redactor.redact`` makes one, and the chat client takes nothing else: marking text as sensitive at each
# call site is forgotten sooner or later, one choke point with a type is not.
RedactedText = NewType("RedactedText", str)

PLACEHOLDER = re.compile(r"\[(EMAIL|PHONE|IP|HOST|PERSON)_(\d+)\]")
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.)+[a-z]{2,24}(?![\w-])|(?<![\w.+-])[\w.+%-]{1,64}@[\w-]{1,63}\b", re.I
)
_PHONE = re.compile(
    r"(?<![\w.:/#-])(?:\+|00)\d{1,3}[\s().-]{0,2}(?:\d[\s().-]{0,2}){6,12}\d(?![\w-])"
    r"|(?<![\w.:/#-])\(?\d{3,5}\)?[\s/-]\d{3,4}[\s-]\d{3,5}(?![\w-])"
)
_FORGED = re.compile(r"\[\s*((?:EMAIL|PHONE|IP|HOST|PERSON)_\d+|SECRET)\s*\]", re.I)


class Redactor:
    """One mapping for one enhancement: the same value is the same placeholder wherever it occurs.

    Args:
        people: Names exactly as the desk gave them (requester, technician).
        hosts: Host names from the tenant's own inventory, which no pattern would find.
    """

    def __init__(self, *, people: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        self._people = _longest_first(name for name in people if len(name.strip()) > 2)
        self._hosts = _longest_first(hosts)
        self._by_value: dict[tuple[str, str], str] = {}
        self._by_placeholder: dict[str, str] = {}

    def redact(self, text: str) -> RedactedText:
        """This will return ``text`` without secrets and with typed placeholders for everything personal.

        A placeholder that the text itself brought along is defused first: restoring it would put another
        value of the same enhancement where a hostile ticket wants it.
        """
        text = _FORGED.sub(lambda match: f"({match[1]})", text)
        text = remove_secrets(text)
        text = _EMAIL.sub(lambda match: self._placeholder("EMAIL", match[0]), text)
        for name in self._people:
            text = self._replace("PERSON", name, text)
        found = extract(text)
        for ip in _longest_first(found.ips):
            text = self._replace("IP", ip, text)
        for host in _longest_first([*found.hosts, *self._hosts]):
            text = self._replace("HOST", host, text)
        return RedactedText(_PHONE.sub(lambda match: self._placeholder("PHONE", match[0]), text))

    def restore(self, text: str) -> str:
        """This will put the values back; a placeholder this enhancement never issued stays as it is."""
        return PLACEHOLDER.sub(lambda match: self._by_placeholder.get(match[0], match[0]), text)

    def _replace(self, kind: str, value: str, text: str) -> str:
        pattern = re.compile(rf"(?<![\w\[])(?<!\w[.-]){re.escape(value)}(?!\w)(?!-\w)", re.IGNORECASE)
        return pattern.sub(lambda match: self._placeholder(kind, match[0]), text)

    def _placeholder(self, kind: str, value: str) -> str:
        key = (kind, value.lower())
        if key not in self._by_value:
            number = 1 + sum(1 for known, _ in self._by_value if known == kind)
            self._by_value[key] = f"[{kind}_{number}]"
            self._by_placeholder[self._by_value[key]] = value
        return self._by_value[key]


def _longest_first(values: Iterable[str]) -> list[str]:
    return sorted({value.strip() for value in values if value.strip()}, key=lambda value: (-len(value), value))
