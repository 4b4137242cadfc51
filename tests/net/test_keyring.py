"""Secrets at rest: rotation, binding to their row, and refusal instead of guessing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.net.keyring import KeyRing, NoEncryptionKey, SecretUnreadable, generate_key_entry
from app.settings.security import SecuritySettings

OLD = ("2025", b"o" * 32)
NEW = ("2026", b"n" * 32)


def test_what_was_encrypted_is_read_again() -> None:
    ring = KeyRing([NEW])

    token = ring.encrypt(b"whsec_x", context="source:1")

    assert ring.decrypt(token, context="source:1") == b"whsec_x"
    assert b"whsec_x" not in token


def test_the_same_secret_never_looks_the_same() -> None:
    ring = KeyRing([NEW])

    assert ring.encrypt(b"s", context="c") != ring.encrypt(b"s", context="c")


def test_a_token_moved_to_another_row_is_refused() -> None:
    ring = KeyRing([NEW])
    token = ring.encrypt(b"s", context="tenant-a")

    with pytest.raises(SecretUnreadable):
        ring.decrypt(token, context="tenant-b")


def test_after_a_rotation_old_tokens_are_read_and_asked_to_be_rewrapped() -> None:
    token = KeyRing([OLD]).encrypt(b"s", context="c")
    rotated = KeyRing([NEW, OLD])

    assert rotated.decrypt(token, context="c") == b"s"
    assert rotated.needs_rewrap(token)
    rewrapped = rotated.rewrap(token, context="c")
    assert not rotated.needs_rewrap(rewrapped)
    assert KeyRing([NEW]).decrypt(rewrapped, context="c") == b"s"
    assert rotated.rewrap(rewrapped, context="c") == rewrapped


def test_a_retired_key_is_named_in_the_refusal() -> None:
    token = KeyRing([OLD]).encrypt(b"s", context="c")

    with pytest.raises(SecretUnreadable, match="2025"):
        KeyRing([NEW]).decrypt(token, context="c")


def test_without_a_key_nothing_is_stored_or_read() -> None:
    ring = KeyRing([])
    token = KeyRing([NEW]).encrypt(b"s", context="c")

    assert not ring.is_usable
    with pytest.raises(NoEncryptionKey):
        ring.encrypt(b"s", context="c")
    with pytest.raises(NoEncryptionKey):
        ring.decrypt(token, context="c")


def test_renaming_the_key_in_a_token_is_refused() -> None:
    """Two ids with the same key bytes: the id is bound too."""
    ring = KeyRing([("aaaa", b"k" * 32), ("bbbb", b"k" * 32)])
    token = ring.encrypt(b"s", context="c")

    with pytest.raises(SecretUnreadable):
        ring.decrypt(token.replace(b"aaaa", b"bbbb", 1), context="c")


@given(position=st.integers(min_value=0), change=st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_refused(position: int, change: int) -> None:
    ring = KeyRing([NEW, OLD])
    token = bytearray(ring.encrypt(b"a secret of a source", context="c"))
    token[position % len(token)] ^= change

    with pytest.raises(SecretUnreadable):
        ring.decrypt(bytes(token), context="c")


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_refused_and_never_crash(token: bytes) -> None:
    with pytest.raises(SecretUnreadable):
        KeyRing([NEW]).decrypt(token, context="c")


def test_the_ring_is_built_from_settings_newest_first() -> None:
    newest, older = generate_key_entry("k2"), generate_key_entry("k1")
    ring = KeyRing.from_settings(SecuritySettings.model_validate({"encryption_keys": f"{newest},{older}"}))
    token = ring.encrypt(b"s", context="c")

    alone = KeyRing.from_settings(SecuritySettings.model_validate({"encryption_keys": [newest]}))
    assert alone.decrypt(token, context="c") == b"s"


@pytest.mark.parametrize("keys", ["no-colon", "k:!!!", "k:c2hvcnQ=", "bad id:" + "A" * 44])
def test_a_malformed_key_is_refused_at_start_without_being_printed(keys: str) -> None:
    with pytest.raises(ValueError, match="encryption key") as caught:
        SecuritySettings.model_validate({"encryption_keys": [keys]})
    assert "A" * 44 not in "".join(str(e["msg"]) for e in caught.value.errors())  # type: ignore[attr-defined]


def test_two_keys_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same id"):
        SecuritySettings.model_validate({"encryption_keys": [generate_key_entry("k"), generate_key_entry("k")]})
