"""Production does not start with a secret that somebody could know, nor with a door that development leaves open."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from app.db.migrate import ROOT
from app.settings import Settings
from app.settings.production import (
    DEMO_MARKER,
    WELL_KNOWN,
    Process,
    WeakSettings,
    all_secrets,
    looks_drawn,
    looks_typed,
    refuse_weak_settings,
)

DRAWS = 3000


def strong() -> dict[str, Any]:
    """The settings that docs/how-to/run-on-real-servers.md asks for."""
    return {
        "environment": "production",
        "database": {
            "app_url": f"postgresql+asyncpg://tocsin_app:{secrets.token_hex(24)}@db/tocsin",
            "system_url": f"postgresql+asyncpg://tocsin_system:{secrets.token_hex(24)}@db/tocsin",
        },
        "redis": {"url": f"redis://:{secrets.token_hex(24)}@redis:6379/0"},
        "security": {
            "encryption_keys": [f"2026a:{base64.b64encode(os.urandom(32)).decode()}"],
            "token_pepper": secrets.token_hex(32),
        },
        "http": {"public_url": "https://tocsin.example"},
        "smtp": {"certificate_file": "/tls/tls.crt", "key_file": "/tls/tls.key"},
    }


def changed(path: str, value: Any) -> Settings:
    values = strong()
    *sections, name = path.split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
    place[name] = value
    return Settings(_env_file=None, **values)


def key(raw: bytes) -> str:
    return f"k:{base64.b64encode(raw).decode()}"


def test_good_settings_start_every_process() -> None:
    settings = Settings(_env_file=None, **strong())
    for process in Process:
        refuse_weak_settings(settings, process=process, environ={})


def test_development_insists_on_nothing() -> None:
    refuse_weak_settings(Settings(_env_file=None), environ={DEMO_MARKER: "x"})


KEY = "ENCRYPTION_KEYS"
PEPPER = "TOKEN_PEPPER"
WEAK: dict[str, tuple[str, Any, str]] = {
    "no key": ("security.encryption_keys", [], f"{KEY} is empty"),
    "zeros": ("security.encryption_keys", [key(bytes(32))], "not random"),
    "counting": ("security.encryption_keys", [key(bytes(range(32)))], "not random"),
    "text as key": ("security.encryption_keys", [key(b"abcdefghijklmnopqrstuvwxyz-12345")], "not random"),
    "repeated half": ("security.encryption_keys", [key(bytes(range(100, 132, 2)) * 2)], "not random"),
    "no pepper": ("security.token_pepper", "", f"{PEPPER} is empty"),
    "short pepper": ("security.token_pepper", secrets.token_hex(15), f"{PEPPER} has fewer than 32"),
    "one letter": ("security.token_pepper", "a" * 64, "can be guessed"),
    "repeated word": ("security.token_pepper", "changeme" * 8, "can be guessed"),
    "alphabet": ("security.token_pepper", "abcdefghijklmnopqrstuvwxyz0123456789", "can be guessed"),
    "words in a row": (
        "security.token_pepper",
        "tocsin-secret-password-changeme-123456",
        "can be guessed",
    ),
    "password = role": ("database.app_url", "postgresql+asyncpg://tocsin_app:tocsin@db/tocsin", "APP_URL holds"),
    "postgres": (
        "database.system_url",
        "postgresql+asyncpg://tocsin_system:postgres-postgres@db/tocsin",
        "SYSTEM_URL holds",
    ),
    "owner": ("database.owner_url", "postgresql+asyncpg://tocsin_owner:changemechangeme@db/tocsin", "OWNER_URL holds"),
    "backup": ("database.backup_url", "postgresql+asyncpg://tocsin_backup:changeme@db/tocsin", "BACKUP_URL holds"),
    "redis open": ("redis.url", "redis://redis:6379/0", "REDIS__URL has no password"),
    "redis short": ("redis.url", "redis://:hunter2@redis:6379/0", "REDIS__URL holds"),
    "cursor key": ("http.cursor_key", "secret", "CURSOR_KEY holds"),
    "http": ("http.public_url", "http://tocsin.example", "PUBLIC_URL is not https"),
    "http intake": ("ingest.public_url", "http://tocsin.example", "INGEST__PUBLIC_URL is not https"),
    "model in the open": (
        "enhancement.llm",
        {"base_url": "http://models.example/v1", "api_key": "sk-x"},
        "LLM__BASE_URL is not https",
    ),
    "spans in the open": (
        "telemetry",
        {"otlp_endpoint": "http://otel.example", "otlp_headers": {"x-key": "an-issued-key"}},
        "OTLP_ENDPOINT is not https",
    ),
    "loopback": ("security.egress_allow", ["127.0.0.0/8"], "opens loopback"),
    "everything": ("security.egress_allow", ["0.0.0.0/0"], "opens loopback"),
    "loopback 6": ("security.egress_allow", ["::/0"], "opens loopback"),
}


@pytest.mark.parametrize("name", WEAK)
def test_production_refuses(name: str) -> None:
    path, value, said = WEAK[name]
    with pytest.raises(WeakSettings, match=said) as refused:
        refuse_weak_settings(changed(path, value), environ={})
    for secret in all_secrets(changed(path, value)):
        assert secret.value not in str(refused.value)


def same_passwords(values: dict[str, Any], secret: str) -> None:
    for role in ("app", "system"):
        values["database"][f"{role}_url"] = f"postgresql+asyncpg://tocsin_{role}:{secret}@db/tocsin"


def pepper_as_broker(values: dict[str, Any], secret: str) -> None:
    values["security"]["token_pepper"] = secret
    values["redis"]["url"] = f"redis://:{secret}@redis:6379/0"


def pepper_as_cursor_key(values: dict[str, Any], secret: str) -> None:
    values["security"]["token_pepper"] = secret
    values["http"]["cursor_key"] = secret


def one_key_by_two_names(values: dict[str, Any], secret: str) -> None:
    encoded = base64.b64encode(os.urandom(32)).decode()
    values["security"]["encryption_keys"] = [f"new:{encoded}", f"old:{encoded}"]


@pytest.mark.parametrize("reuse", [same_passwords, pepper_as_broker, pepper_as_cursor_key, one_key_by_two_names])
def test_one_secret_has_one_use(reuse: Callable[[dict[str, Any], str], None]) -> None:
    values = strong()
    reuse(values, secrets.token_hex(32))
    with pytest.raises(WeakSettings, match="the same secret is used for"):
        refuse_weak_settings(Settings(_env_file=None, **values), environ={})


def test_the_embedded_stack_is_not_production() -> None:
    with pytest.raises(WeakSettings, match=DEMO_MARKER):
        refuse_weak_settings(Settings(_env_file=None, **strong()), environ={DEMO_MARKER: "x"})


def test_failpoints_are_refused_however_they_got_in() -> None:
    armed = Settings(_env_file=None, **strong()).model_copy(update={"failpoints": "anything"})
    with pytest.raises(WeakSettings, match="FAILPOINTS"):
        refuse_weak_settings(armed, environ={})


def test_a_process_needs_only_the_secrets_that_it_uses() -> None:
    values = strong()
    values["security"] = {}
    bare = Settings(_env_file=None, **values)
    refuse_weak_settings(bare, process=Process.RELAY, environ={})
    for process in (Process.API, Process.WORKER):
        with pytest.raises(WeakSettings, match=KEY):
            refuse_weak_settings(bare, process=process, environ={})


def test_what_is_drawn_at_random_is_never_refused() -> None:
    for make in (secrets.token_hex, secrets.token_urlsafe):
        assert not any(looks_typed(make(24)) for _ in range(DRAWS))
    assert all(looks_drawn(os.urandom(32)) for _ in range(DRAWS))


@pytest.mark.parametrize("word", WELL_KNOWN)
def test_well_known_words_do_not_become_secrets_by_length(word: str) -> None:
    assert looks_typed(word * 6)
    assert looks_typed(f"{word.upper()}-{word}-123456")


def test_every_secret_setting_is_looked_at() -> None:
    settings = changed("enhancement.llm", {"api_key": SecretStr("sk-1")})
    names = {secret.setting for secret in all_secrets(settings)}
    assert {"TOCSIN_ENHANCEMENT__LLM__API_KEY", "TOCSIN_SECURITY__ENCRYPTION_KEYS", "TOCSIN_REDIS__URL"} <= names


@pytest.mark.parametrize("module", ["workers.relay_main", "workers.main"])
def test_relay_and_worker_refuse_too(module: str) -> None:
    environment = {"PATH": os.environ["PATH"], "TOCSIN_ENVIRONMENT": "production"}
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "TOCSIN_REDIS__URL has no password" in done.stderr


def test_the_mail_listener_wants_a_certificate_or_to_be_told_otherwise() -> None:
    plain = strong() | {"smtp": {}}
    refuse_weak_settings(Settings(_env_file=None, **plain), process=Process.API, environ={})
    with pytest.raises(WeakSettings, match="TOCSIN_SMTP__CERTIFICATE_FILE is empty"):
        refuse_weak_settings(Settings(_env_file=None, **plain), process=Process.SMTP, environ={})
    told = strong() | {"smtp": {"allow_plain": True}}
    refuse_weak_settings(Settings(_env_file=None, **told), process=Process.SMTP, environ={})
