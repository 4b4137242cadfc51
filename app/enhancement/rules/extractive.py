"""A note without a model: sentences taken word for word from the evidence. Deterministic, so also the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from app.enhancement.rules.draft import Confidence, Draft, Kind, Method, Statement
from app.enhancement.rules.evidence import Evidence, SourceKind
from app.enhancement.rules.text import content_words, cut, sentences

MAX_SIMILAR = 3
MAX_KNOWLEDGE_SENTENCES = 3
MAX_STATEMENT_CHARS = 300


def compose(evidence: Sequence[Evidence], *, terms: frozenset[str]) -> Draft:
    """This will take the resolutions of the best past cases and the best sentences of the documentation.

    An item that seems to address a model is named but not quoted: what orders a model orders its reader too.
    """
    cases = [item for item in evidence if item.source is not SourceKind.KNOWLEDGE][:MAX_SIMILAR]
    statements = [_resolved(item) for item in cases if item.resolution and not item.suspicious]
    documents = [item for item in evidence if item.source is SourceKind.KNOWLEDGE and not item.suspicious]
    statements += _from_knowledge(documents, terms)
    return Draft(
        method=Method.EXTRACTIVE,
        statements=tuple(statements),
        similar=tuple(item.id for item in cases),
        confidence=judge(evidence, cited={statement.evidence_id for statement in statements}),
    )


def judge(evidence: Sequence[Evidence], *, cited: set[str]) -> Confidence:
    """This will bound the confidence by the evidence: several agreeing sources, a trusted one, no planted orders."""
    used = [item for item in evidence if item.id in cited]
    if not used or any(item.suspicious for item in used):
        return Confidence.LOW
    strong = sum(any(reason.startswith("same ") for reason in item.why) for item in used)
    if strong >= 2 or (strong and any(item.trust == "trusted" for item in used)):
        return Confidence.HIGH
    return Confidence.MEDIUM if strong or len(used) >= 2 else Confidence.LOW


def _resolved(item: Evidence) -> Statement:
    quote = _first_sentences(item.resolution)
    # Said as what it is: that an equal case ended so is a fact, that this one will is not.
    return Statement(text=quote, evidence_id=item.id, quote=quote, kind=Kind.HYPOTHESIS)


def _first_sentences(text: str) -> str:
    taken = ""
    for sentence in sentences(text):
        if taken and len(taken) + 1 + len(sentence) > MAX_STATEMENT_CHARS:
            break
        taken = f"{taken} {sentence}".strip()
    return cut(taken, MAX_STATEMENT_CHARS)


def _from_knowledge(items: Sequence[Evidence], terms: frozenset[str]) -> list[Statement]:
    scored: list[tuple[int, int, Evidence, str]] = []
    for order, item in enumerate(items):
        for sentence in sentences(item.text):
            share = len(content_words(sentence) & terms)
            if share >= 2 or (share and len(items) == 1):
                scored.append((-share, order, item, sentence))
    scored.sort(key=lambda entry: entry[:2])
    return [
        Statement(
            text=cut(sentence, MAX_STATEMENT_CHARS),
            evidence_id=item.id,
            quote=cut(sentence, MAX_STATEMENT_CHARS),
            kind=Kind.FACT,
        )
        for _, _, item, sentence in scored[:MAX_KNOWLEDGE_SENTENCES]
    ]
