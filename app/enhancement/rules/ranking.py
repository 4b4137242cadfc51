"""Joining the ranks of several searches into one order, with the reasons that a reader can check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

K = TypeVar("K")

RRF_K = 60
# Weights by measurement on duplicate bug reports: fusion wins at ten hits, plain BM25 at one, so it weighs more.
ARM_WEIGHTS: Mapping[str, float] = {"words": 1.3, "title": 1.0, "signature": 1.2, "facts": 1.2}
QUERY_TERMS = 12


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the re-rank looks at, apart from the fused rank."""

    same_signature: bool = False
    shared_entities: tuple[str, ...] = ()
    has_resolution: bool = False
    trusted: bool = False
    date: datetime | None = None
    matched_words: tuple[str, ...] = ()
    title_similarity: float = 0.0


def choose_terms(document_counts: Mapping[str, int], *, documents: int, limit: int = QUERY_TERMS) -> list[str]:
    """This will pick the rarest words of a query that any document has: the words of an OR query.

    A whole ticket joined by AND finds nothing, and joined by OR with its common words it finds everything.
    """
    ceiling = documents if documents < 20 else documents * 0.5
    usable = {term: count for term, count in document_counts.items() if 0 < count <= ceiling}
    return sorted(usable, key=lambda term: (usable[term], -len(term), term))[:limit]


def idf(*, document_count: int, documents: int) -> float:
    """This will return BM25's inverse document frequency, never negative."""
    return math.log(1 + (documents - document_count + 0.5) / (document_count + 0.5))


def fuse(
    arms: Mapping[str, Sequence[K]], *, weights: Mapping[str, float] = ARM_WEIGHTS, k: int = RRF_K
) -> dict[K, float]:
    """This will return reciprocal rank fusion: only ranks count, so arms need no common scale.

    Source: Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion", SIGIR 2009; k = 60.
    """
    scores: dict[K, float] = {}
    for arm, ranked in arms.items():
        for rank, key in enumerate(ranked, start=1):
            scores[key] = scores.get(key, 0.0) + weights.get(arm, 1.0) / (k + rank)
    return scores


def rerank(fused: float, features: Features, *, now: datetime) -> float:
    """This will return the final score: the fused one raised by what two cases share, lowered with age."""
    factor = 1.0
    factor += 0.6 * features.same_signature
    factor += min(0.6, 0.3 * len(features.shared_entities))
    factor += 0.2 * features.has_resolution
    factor += 0.1 * features.trusted
    if features.date is not None:
        age_days = max(0.0, (now - features.date).total_seconds() / 86_400)
        factor *= 0.7 + 0.3 * 0.5 ** (age_days / 365)
    return fused * factor


def is_relevant(features: Features, *, query_terms: int) -> bool:
    """This will apply the floor: one common word alone is no match, and "nothing similar" is a right answer."""
    if features.same_signature or features.shared_entities:
        return True
    needed = 1 if query_terms <= 1 else 2 if query_terms <= 6 else 3
    return len(features.matched_words) >= needed or features.title_similarity >= 0.45


def reasons(features: Features) -> tuple[str, ...]:
    """This will put the features into the words shown beside a hit."""
    found: list[str] = []
    if features.same_signature:
        found.append("same error")
    if features.shared_entities:
        found.append("same " + ", ".join(features.shared_entities[:3]))
    if features.title_similarity >= 0.3:
        found.append("similar title")
    if features.matched_words:
        found.append("shares " + ", ".join(features.matched_words[:5]))
    if features.has_resolution:
        found.append("was resolved")
    return tuple(found)
