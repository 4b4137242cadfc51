"""The content of a note before it becomes HTML: the same shape from a model and from the extractive rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a statement is; a guess is never shown as a fact."""

    FACT = "fact"
    HYPOTHESIS = "hypothesis"
    CHECK = "check"


class Method(StrEnum):
    """Who wrote the statements."""

    MODEL = "model"
    EXTRACTIVE = "extractive"


class Confidence(StrEnum):
    """How far the note may be leaned on; bounded by what the evidence is, whatever a model says."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One sentence with the item it rests on and the words of that item that show it."""

    text: str
    evidence_id: str
    quote: str
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The statements and the similar cases (evidence ids, best first) of one note."""

    method: Method
    statements: tuple[Statement, ...]
    similar: tuple[str, ...]
    confidence: Confidence
