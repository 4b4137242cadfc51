"""The security section as it is written in an environment."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.net.keyring import generate_key_entry
from app.settings import Settings
from app.settings.security import SecuritySettings


class Root(BaseSettings):
    """The root's shape, without the sections of other areas."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_", env_nested_delimiter="__")
    security: SecuritySettings = Field(default_factory=SecuritySettings)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    newest, older = generate_key_entry("k2"), generate_key_entry("k1")
    monkeypatch.setenv("TOCSIN_SECURITY__ENCRYPTION_KEYS", f"{newest}, {older}")
    monkeypatch.setenv("TOCSIN_SECURITY__EGRESS_ALLOW", "127.0.0.0/8,desk.internal:8443,[::1]:80")

    read = Root().security

    assert [key.get_secret_value() for key in read.encryption_keys] == [newest, older]
    assert read.egress_allow == ["127.0.0.0/8", "desk.internal:8443", "[::1]:80"]
    assert newest not in repr(read)


def test_or_written_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SECURITY__EGRESS_ALLOW", '["10.0.0.0/8"]')
    assert Root().security.egress_allow == ["10.0.0.0/8"]


def test_nothing_is_allowed_and_nothing_encrypted_by_default() -> None:
    assert SecuritySettings().egress_allow == []
    assert SecuritySettings().encryption_keys == []


@pytest.mark.parametrize(
    "entry", ["10.0.0.1/8", "desk.internal", "http://desk.internal:80", "*", "desk:port", "[10.0.0.0/8"]
)
def test_an_entry_of_the_allow_list_that_means_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValidationError):
        SecuritySettings(egress_allow=[entry])


def test_every_field_says_what_it_is() -> None:
    assert all(field.description for field in SecuritySettings.model_fields.values())


def test_a_malformed_key_is_not_printed_by_the_error_that_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SECURITY__ENCRYPTION_KEYS", "k1:a-key-that-was-cut-while-pasting")
    with pytest.raises(ValidationError) as failure:
        Settings(_env_file=None)
    assert "k1" in str(failure.value)
    assert "pasting" not in str(failure.value)
