"""Ranks fuse, shared facts lift, age lowers, and weak hits are no hits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.enhancement.rules.ranking import Features, choose_terms, fuse, idf, is_relevant, reasons, rerank

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_fusion_prefers_what_several_arms_agree_on() -> None:
    scores = fuse({"words": ["a", "b", "c"], "title": ["b", "d"], "signature": []})
    assert max(scores, key=scores.__getitem__) == "b"
    assert set(scores) == {"a", "b", "c", "d"}


@given(st.dictionaries(st.sampled_from(["words", "title", "signature"]), st.lists(st.integers(0, 20), unique=True)))
def test_fusion_respects_dominance(arms: dict[str, list[int]]) -> None:
    scores = fuse(arms)
    for one in scores:
        for other in scores:
            ahead = all(
                one in ranked and (other not in ranked or ranked.index(one) < ranked.index(other))
                for ranked in arms.values()
                if ranked and (one in ranked or other in ranked)
            )
            if one != other and ahead:
                assert scores[one] > scores[other]


def test_terms_are_the_rarest_known_ones() -> None:
    counts = {"common": 90, "rare": 1, "some": 10, "absent": 0}
    assert choose_terms(counts, documents=100) == ["rare", "some"]
    assert choose_terms(counts, documents=100, limit=1) == ["rare"]
    assert choose_terms({"only": 2}, documents=2) == ["only"]


def test_a_rare_word_weighs_more() -> None:
    assert idf(document_count=1, documents=100) > idf(document_count=50, documents=100) > 0


@pytest.mark.parametrize(
    "better",
    [
        Features(same_signature=True),
        Features(shared_entities=("web01",)),
        Features(has_resolution=True),
        Features(trusted=True),
    ],
)
def test_each_shared_fact_lifts(better: Features) -> None:
    assert rerank(1.0, better, now=NOW) > rerank(1.0, Features(), now=NOW)


def test_age_lowers_but_never_to_nothing() -> None:
    new = rerank(1.0, Features(date=NOW), now=NOW)
    old = rerank(1.0, Features(date=NOW - timedelta(days=3650)), now=NOW)
    assert new > old > 0.69


@pytest.mark.parametrize(
    ("features", "terms", "relevant"),
    [
        (Features(matched_words=("disk",)), 12, False),
        (Features(matched_words=("disk", "full", "web")), 12, True),
        (Features(matched_words=("disk",)), 2, False),
        (Features(matched_words=("disk",)), 1, True),
        (Features(matched_words=("disk", "full")), 5, True),
        (Features(title_similarity=0.5), 12, True),
        (Features(title_similarity=0.3), 12, False),
        (Features(same_signature=True), 12, True),
        (Features(shared_entities=("10.0.0.1",)), 12, True),
    ],
)
def test_the_floor(features: Features, terms: int, relevant: bool) -> None:
    assert is_relevant(features, query_terms=terms) is relevant


def test_reasons_say_what_was_shared() -> None:
    why = reasons(
        Features(same_signature=True, shared_entities=("web01",), matched_words=("disk",), has_resolution=True)
    )
    assert why == ("same error", "same web01", "shares disk", "was resolved")
