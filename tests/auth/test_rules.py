from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auth.rules import ALPHABET, OPERATOR_PREFIX, Role, generate_token, hash_token, is_well_formed

TOKEN = generate_token()


def test_each_role_includes_the_ones_before_it() -> None:
    table = {role: [other.value for other in Role if role.includes(other)] for role in Role}
    assert table == {
        Role.VIEWER: ["viewer"],
        Role.RESPONDER: ["viewer", "responder"],
        Role.ENGINEER: ["viewer", "responder", "engineer"],
        Role.ADMIN: ["viewer", "responder", "engineer", "admin"],
    }


def test_tokens_are_well_formed_and_never_the_same() -> None:
    tokens = {generate_token(prefix) for prefix in ("tcs", OPERATOR_PREFIX) for _ in range(50)}
    assert len(tokens) == 100
    assert all(is_well_formed(token) for token in tokens)


@given(position=st.integers(4, len(TOKEN) - 1), character=st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed_before_any_look_up(position: int, character: str) -> None:
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]
    assert is_well_formed(changed) == (changed == TOKEN)


# Named, as the token is drawn anew in every test process.
SPELLINGS = {
    "empty": "",
    "shortened": TOKEN[:-1],
    "lengthened": TOKEN + "0",
    "with a line end": TOKEN + "\n",
    "padded": TOKEN + "=",
    "with a blank": " " + TOKEN,
    "in the other case": TOKEN.swapcase(),
    "upper-case prefix": TOKEN.replace("tcs_", "TCS_"),
    "other prefix": TOKEN.replace("tcs_", "tcx_"),
    "prefix twice": TOKEN.replace("tcs_", "tcs_tcs_"),
    "with a NUL": TOKEN[:10] + "\x00" + TOKEN[11:],
    "with a foreign digit": TOKEN[:10] + "\u0660" + TOKEN[11:],
}


@pytest.mark.parametrize("how", SPELLINGS)
def test_a_token_has_one_spelling(how: str) -> None:
    assert not is_well_formed(SPELLINGS[how])


def test_the_hash_needs_the_pepper() -> None:
    assert hash_token(TOKEN, b"one") == hash_token(TOKEN, b"one")
    assert hash_token(TOKEN, b"one") != hash_token(TOKEN, b"two")
    assert len(hash_token(TOKEN, b"one")) == 32
