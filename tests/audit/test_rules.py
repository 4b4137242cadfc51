from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from app.audit.rules import GENESIS, Entry, entry_hash, find_break

ENTRY = Entry(
    tenant_id=UUID(int=1),
    id=UUID(int=2),
    seq=7,
    at=datetime(2030, 1, 7, 12, tzinfo=UTC),
    actor_kind="token",
    actor_id="3",
    actor_name="Ada",
    action="incident.resolved",
    subject="incident:4",
    detail={"reason": "fixed", "count": 2},
)
CHANGES: dict[str, Any] = {
    "tenant_id": UUID(int=9),
    "id": UUID(int=9),
    "seq": 8,
    "at": ENTRY.at + timedelta(microseconds=1),
    "actor_kind": "operator",
    "actor_id": "9",
    "actor_name": "Eve",
    "action": "incident.opened",
    "subject": "incident:9",
    "detail": {"reason": "fixed", "count": 3},
}


def test_every_field_has_a_change_below() -> None:
    assert set(CHANGES) == set(Entry.__dataclass_fields__)


@pytest.mark.parametrize("name", CHANGES)
def test_the_hash_covers_every_field(name: str) -> None:
    assert entry_hash(replace(ENTRY, **{name: CHANGES[name]}), GENESIS) != entry_hash(ENTRY, GENESIS)


def test_the_hash_covers_the_entry_before() -> None:
    assert entry_hash(ENTRY, bytes([1]) * 32) != entry_hash(ENTRY, GENESIS)


def test_text_cannot_move_from_one_field_into_the_next() -> None:
    moved = replace(ENTRY, actor_id="3A", actor_name="da")
    assert entry_hash(moved, GENESIS) != entry_hash(ENTRY, GENESIS)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}),
        ({"n": 1e16}, {"n": 10**16}),
        ({"n": -0.0}, {"n": 0}),
        ({"n": [1.0, {"m": 2.0}]}, {"n": [1, {"m": 2}]}),
        ({"id": UUID(int=5)}, {"id": str(UUID(int=5))}),
        ({"n": float("nan")}, {"n": None}),
        ({1: "x"}, {"1": "x"}),
    ],
)
def test_the_same_facts_in_another_spelling_have_the_same_hash(one: dict[Any, Any], same: dict[Any, Any]) -> None:
    assert entry_hash(replace(ENTRY, detail=one), GENESIS) == entry_hash(replace(ENTRY, detail=same), GENESIS)


def test_the_same_moment_in_another_zone_has_the_same_hash() -> None:
    elsewhere = ENTRY.at.astimezone(timezone(timedelta(hours=5)))
    assert entry_hash(replace(ENTRY, at=elsewhere), GENESIS) == entry_hash(ENTRY, GENESIS)


def test_each_break_has_its_own_words() -> None:
    good = entry_hash(ENTRY, GENESIS)

    def say(entry: Entry = ENTRY, *, stored_prev: bytes = GENESIS, stored: bytes = good, expected: int = 7) -> str:
        found = find_break(entry, prev_hash=GENESIS, stored_prev=stored_prev, stored_hash=stored, expected_seq=expected)
        return found or "whole"

    assert say() == "whole"
    assert say(expected=5) == "entry 5 is missing: the next one found is 7"
    assert "does not follow" in say(stored_prev=good)
    assert "was changed" in say(replace(ENTRY, actor_name="Eve"))
    assert "was changed" in say(stored=GENESIS)
