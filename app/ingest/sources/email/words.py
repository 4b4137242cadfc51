"""What the words of a subject say: is it over, how bad is it, and what is it about once those are taken out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence

FIRING = frozenset(
    {"problem", "alert", "alarm", "firing", "triggered", "trigger", "opened", "open", "down", "critical", "crit", "new"}
    | {"warning", "warn", "error", "failed", "failure", "failing", "unreachable", "disaster", "emergency", "fatal"}
)
# These mean it wherever they stand; "ok", "up", "closed" and the like are part of too many names.
_PLAIN_SPOKEN = frozenset(
    {"recovery", "recovered", "resolved", "cleared", "restored", "acknowledged", "acknowledgement", "acknowledgment"}
)
_BEFORE_A_STATE = frozenset({"is", "are", "now", "to", "back", "to:", "=>", "->", "→", "is:", "status", "state", "was"})
_THINGS = frozenset({"alert", "alarm", "problem", "error", "incident", "issue", "failure"})
_AUXILIARIES = frozenset({"has", "been", "is", "was", "now"})
_LEAD = 3
_TOKENS_MAX = 80
_TOKEN = re.compile(r"[^\s\[\](){}:;,!*|\"'<>#=]+")
_PREFIXES = frozenset({"re", "fw", "fwd", "aw", "wg", "sv", "vs", "tr", "antw", "rv", "external", "ext"})
_SEVERE = frozenset(
    {"disaster", "emergency", "fatal", "critical", "crit", "major", "severe", "urgent", "error", "warning", "warn"}
    | {"p0", "p1", "p2", "p3"}
)
# In capitals or after "severity" only: a subject such as "Low disk space" or "High load" says something else.
_QUIET = frozenset({"high", "medium", "average", "moderate", "minor", "low", "information", "info", "notice", "normal"})
_SEVERITIES = _SEVERE | _QUIET
_BEFORE_A_SEVERITY = frozenset({"severity", "priority", "level", "urgency", "sev"})
_SPELT = {"crit": "critical", "major": "high", "severe": "critical", "moderate": "medium"}


def tokens(text: str) -> list[str]:
    """This will cut a subject into words, brackets and punctuation left out."""
    return [word.rstrip(".") or word for word in _TOKEN.findall(text)[:_TOKENS_MAX]]


def state_word(said: Sequence[str], *, over: Collection[str], taken: Collection[str]) -> str:
    """This will return the word that says what the state is, lower case, or nothing.

    Args:
        said: The subject's words.
        over: Words that mean "resolved", lower case.
        taken: Words that mean "acknowledged", lower case.
    """
    words = [word.lower() for word in said]
    while words and words[0] in _PREFIXES:
        words.pop(0)
    for index, word in enumerate(words[:_LEAD]):
        fate = _fate(words[index + 1 : index + 4]) if word in _THINGS else ""
        if fate and (fate in over or fate in taken):
            return fate
        if word in over or word in taken or word in FIRING:
            return word
    for before, word in itertools.pairwise(words):
        if before in _BEFORE_A_STATE and (word in over or word in taken or word in FIRING):
            return word
    last = words[-1] if words else ""
    if last in over or last in taken:
        return last
    return next((word for word in words if word in _PLAIN_SPOKEN and (word in over or word in taken)), "")


def _fate(following: Sequence[str]) -> str:
    """What became of an alarm, where the subject says so at once: ``alarm cleared``, ``problem has been resolved``."""
    told = next((word for word in following if word not in _AUXILIARIES), "")
    return told if told in _PLAIN_SPOKEN else ""


def severity_word(words: Sequence[str]) -> str:
    """This will return the word of a subject that says how bad it is; one in capitals goes before the others."""
    loud = [word for word in words if word.isupper()]
    named = [word for before, word in itertools.pairwise(words) if before.lower() in _BEFORE_A_SEVERITY]
    for word in [*named, *loud]:
        if word.lower() in _SEVERITIES:
            return _SPELT.get(word.lower(), word.lower())
    lowered = next((word.lower() for word in words if word.lower() in _SEVERE), "")
    return _SPELT.get(lowered, lowered)


def about(words: Sequence[str], *, states: Collection[str]) -> str:
    """This will return a subject without what changes from one mail about the same thing to the next."""
    kept = []
    for word in words:
        lowered = word.lower()
        told = lowered in _SEVERE or (word.isupper() and lowered in _QUIET)
        if not told and lowered not in _PREFIXES and lowered not in FIRING and lowered not in states:
            kept.append(lowered)
    return " ".join(kept)


def importance(priority: Sequence[str]) -> str:
    """This will return ``urgent``, ``high`` or ``low`` by the usual headers; nothing for a normal mail."""
    for said in priority:
        word = said.strip().lower()
        digit = word[:1]
        if digit == "1" or word.startswith(("highest", "urgent")):
            return "urgent"
        if digit == "2" or word.startswith("high"):
            return "high"
        if digit in ("4", "5") or word.startswith(("low", "non-urgent")):
            return "low"
    return ""
