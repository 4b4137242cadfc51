"""Whether a model's answer holds: each claim's quote must stand in the item it cites, and nothing may be new.

A model that obeyed a hostile ticket can at worst say something that the evidence says too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.enhancement.rules.draft import Confidence, Draft, Kind, Method, Statement
from app.enhancement.rules.entities import extract
from app.enhancement.rules.evidence import Evidence, SourceKind
from app.enhancement.rules.extractive import judge
from app.enhancement.rules.text import content_words, strip_hidden

MIN_VALID_CLAIMS = 2
MAX_STATEMENTS = 8
MAX_ANSWER_CHARS = 64_000
_MIN_QUOTE_CHARS = 12
_MIN_SHARE = 0.6
_CONFIDENCE = {level.value: level for level in Confidence}
_ORDER = {Confidence.LOW: 0, Confidence.MEDIUM: 1, Confidence.HIGH: 2}


class Verdict(StrEnum):
    """What became of one claim; the label of the claims counter."""

    VALID = "valid"
    UNKNOWN_EVIDENCE = "unknown_evidence"
    QUOTE_NOT_FOUND = "quote_not_found"
    NEW_FACTS = "new_facts"
    UNSUPPORTED = "unsupported"
    SUSPICIOUS_SOURCE = "suspicious_source"
    EXCESS = "excess"


class AnswerUnusable(Exception):
    """The answer is not one JSON object of the schema."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Check(_Model):
    text: Annotated[str, Field(min_length=1, max_length=300)]
    evidence_id: Annotated[str, Field(max_length=8)]
    quote: Annotated[str, Field(max_length=600)]


class _Claim(_Check):
    kind: Literal["fact", "hypothesis"]


class _Similar(_Model):
    ticket: Annotated[str, Field(max_length=200)]
    why: Annotated[str, Field(max_length=500)]


class Answer(_Model):
    """The schema of ``prompt.OUTPUT_SCHEMA`` with lengths. ``summary`` and ``why`` are never published."""

    summary: Annotated[str, Field(max_length=4000)]
    claims: Annotated[list[_Claim], Field(max_length=40)]
    suggested_checks: Annotated[list[_Check], Field(max_length=40)]
    similar: Annotated[list[_Similar], Field(max_length=40)]
    confidence: Literal["low", "medium", "high"]


@dataclass(frozen=True)
class Judged:
    """The valid part of an answer, or None where too little of it held, and the verdict on every claim."""

    draft: Draft | None
    verdicts: tuple[Verdict, ...]


def parse_answer(raw: str) -> Answer:
    """This will read a model's text; one Markdown fence around the object is taken off, nothing else is guessed.

    Raises:
        AnswerUnusable: Not JSON, not an object, another schema, or larger than any honest answer.
    """
    if len(raw) > MAX_ANSWER_CHARS:
        raise AnswerUnusable("the answer is too large")
    fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", raw, re.DOTALL)
    try:
        return Answer.model_validate(json.loads(fenced[1] if fenced else raw))
    except (ValueError, RecursionError, ValidationError) as error:
        raise AnswerUnusable(f"{type(error).__name__}: the answer does not fit the schema") from None


def judge_answer(answer: Answer, *, evidence: Sequence[Evidence], seen: Mapping[str, str]) -> Judged:
    """This will keep the claims that hold and count the others.

    Args:
        seen: Each item's text as the model saw it (``prompt.redacted_view``).
    """
    by_id = {item.id: item for item in evidence}
    statements: list[Statement] = []
    verdicts: list[Verdict] = []
    claims: list[tuple[_Check, Kind]] = [(claim, Kind(claim.kind)) for claim in answer.claims]
    claims += [(check, Kind.CHECK) for check in answer.suggested_checks]
    for claim, kind in claims:
        verdict = Verdict.EXCESS if len(statements) == MAX_STATEMENTS else _judge(claim, by_id, seen)
        verdicts.append(verdict)
        if verdict is Verdict.VALID:
            statements.append(Statement(text=claim.text, evidence_id=claim.evidence_id, quote=claim.quote, kind=kind))
    if len(statements) < MIN_VALID_CLAIMS:
        return Judged(None, tuple(verdicts))
    cases = [item for item in evidence if item.source is not SourceKind.KNOWLEDGE]
    named = {similar.ticket for similar in answer.similar}
    chosen = [item.id for item in cases if item.ref in named or item.id in named] or [item.id for item in cases]
    draft = Draft(
        method=Method.MODEL,
        statements=tuple(statements),
        similar=tuple(chosen[:3]),
        # The model's own confidence can only lower what the evidence allows.
        confidence=min(
            judge(evidence, cited={statement.evidence_id for statement in statements}),
            _CONFIDENCE[answer.confidence],
            key=_ORDER.__getitem__,
        ),
    )
    return Judged(draft, tuple(verdicts))


def _judge(claim: _Check, by_id: Mapping[str, Evidence], seen: Mapping[str, str]) -> Verdict:
    item = by_id.get(claim.evidence_id)
    if item is None:
        return Verdict.UNKNOWN_EVIDENCE
    if item.suspicious:
        return Verdict.SUSPICIOUS_SOURCE
    text, source = normalise(claim.text), normalise(seen[claim.evidence_id])
    quote = normalise(claim.quote)
    if len(quote) < _MIN_QUOTE_CHARS or quote not in source:
        return Verdict.QUOTE_NOT_FOUND
    if not _tokens(claim.text) <= _tokens(seen[claim.evidence_id]):
        return Verdict.NEW_FACTS
    said, shown = content_words(text), content_words(source)
    if not said or len(said & shown) / len(said) < _MIN_SHARE or _negates(text) != _negates(quote):
        return Verdict.UNSUPPORTED
    return Verdict.VALID


def normalise(text: str) -> str:
    """This will make typographic variants of one quote equal: quotes, dashes, spaces, case."""
    text = strip_hidden(text).lower()
    text = re.sub(r"[\u2018\u2019\u201a\u2032`]", "'", text)
    text = re.sub(r"[\u201c\u201d\u201e\u2033]", '"', text)
    text = re.sub(r"[\u2010-\u2015\u2212]", "-", text)
    return re.sub(r"\s+", " ", text).strip(" .…\"'")


_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_MARKED = re.compile(
    r"\[[A-Z]+(?:_\d+)?\]|[\w.+-]+@[\w.-]+|\bwww\.[^\s]+|\b[\w-]+\.(?:[\w-]+\.)*[a-z]{2,}(?:/\S*)?|[$`|;&]{1,2}\s*\S+"
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|without|don't|doesn't|didn't|cannot|can't|won't|avoid|stop(?:ped)? using|nor)\b"
)


def _tokens(text: str) -> frozenset[str]:
    """Numbers, placeholders, hosts, addresses, codes and links: what must not be invented or moved."""
    plain = strip_hidden(text)
    found = set(_NUMBER.findall(plain)) | {match.lower().rstrip(".,;:") for match in _MARKED.findall(plain)}
    return frozenset(found | extract(plain).keys())


def _negates(text: str) -> bool:
    return _NEGATION.search(text) is not None
