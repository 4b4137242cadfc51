"""What a token looks like, and what a role includes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auth.rules import ALPHABET, OPERATOR_PREFIX, Role, generate_token, hash_token, is_well_formed


def test_a_fresh_token_is_well_formed_and_never_the_same() -> None:
    tokens = {generate_token() for _ in range(50)}
    assert len(tokens) == 50
    assert all(is_well_formed(token) for token in tokens)
    assert is_well_formed(generate_token(OPERATOR_PREFIX))


@given(st.integers(min_value=4, max_value=52), st.sampled_from(ALPHABET))
def test_any_changed_character_is_noticed_before_a_look_up(position: int, other: str) -> None:
    token = generate_token()
    changed = token[:position] + other + token[position + 1 :]
    assert is_well_formed(changed) == (changed == token)


@given(st.text(max_size=80))
def test_any_other_text_is_not_a_token(text: str) -> None:
    assert not is_well_formed(text)


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda token: token + "=", lambda token: f" {token}"])
def test_a_token_has_one_spelling(change: object) -> None:
    assert callable(change)
    token = generate_token()
    changed = change(token)
    assert not is_well_formed(changed) or changed == token


def test_the_hash_depends_on_the_pepper() -> None:
    token = generate_token()
    assert hash_token(token, b"one") != hash_token(token, b"two")
    assert token.encode() not in hash_token(token, b"one")


@pytest.mark.parametrize(
    ("role", "includes"), [(Role.VIEWER, 1), (Role.RESPONDER, 2), (Role.ENGINEER, 3), (Role.ADMIN, 4)]
)
def test_each_role_includes_those_before_it(role: Role, includes: int) -> None:
    assert sum(role.includes(other) for other in Role) == includes
