"""What production refuses to start with.

A secret is refused when it is missing, short, guessable, one that an example or a default shows, or used for two things: the
second use would fall with the first. The rest are the doors that development leaves open. Messages name settings, never values.
"""

from __future__ import annotations

import ipaddress
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from app.settings import Settings
from app.settings.security import decode_key_entry

MIN_PEPPER = 32
MIN_PASSWORD = 16
# Distinct characters (or bytes) below which something was typed or repeated rather than drawn: 24 hex digits drawn by chance
# have fewer than 6 once in a hundred thousand times, 32 bytes fewer than 16 never.
MIN_DISTINCT = 6
MIN_DISTINCT_KEY_BYTES = 16
WELL_KNOWN = (
    "admin", "changeit", "changeme", "default", "demo", "development", "dummy", "example", "guest", "insecure", "letmein",
    "password", "passw0rd", "placeholder", "postgres", "qwerty", "redis", "replaceme", "sample", "secret", "test", "tocsin",
    "valkey", "welcome", "yourpassword",
)  # fmt: skip
SEQUENCES = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")
DEMO_MARKER = "TOCSIN_DEMO_DESK_KEY"


class Process(StrEnum):
    """Who asks: a process needs only the secrets that it uses."""

    API = "api"
    RELAY = "relay"
    WORKER = "worker"
    SMTP = "smtp"


class WeakSettings(RuntimeError):
    """A secret is missing or weak; the message names the setting and how to make a good one."""


@dataclass(frozen=True)
class Secret:
    """A value that must not be known, with the setting that holds it."""

    setting: str
    value: str


def refuse_weak_settings(
    settings: Settings, *, process: Process = Process.API, environ: Mapping[str, str] = os.environ
) -> None:
    """This will pass in development and insist on real secrets in production.

    Raises:
        WeakSettings: Names every setting that falls short.
    """
    if settings.environment != "production":
        return
    short = [
        *_missing(settings, process),
        *_weak(settings),
        *_used_twice(settings),
        *_plain_http(settings, process),
        *_plain_mail(settings, process),
        *_left_from_development(settings, environ),
    ]
    if short:
        raise WeakSettings("refusing to start in production: " + "; ".join(short))


def _missing(settings: Settings, process: Process) -> Iterator[str]:
    if process is not Process.RELAY and not settings.security.encryption_keys:
        yield "TOCSIN_SECURITY__ENCRYPTION_KEYS is empty (make a key: openssl rand -base64 32)"
    if process is Process.API and not settings.security.token_pepper.get_secret_value():
        yield "TOCSIN_SECURITY__TOKEN_PEPPER is empty (openssl rand -hex 32)"
    redis = urlsplit(settings.redis.url.get_secret_value())
    if redis.scheme == "redis" and not redis.password:
        yield "TOCSIN_REDIS__URL has no password (and is neither rediss:// nor unix://)"


def _weak(settings: Settings) -> Iterator[str]:
    pepper = settings.security.token_pepper.get_secret_value()
    if pepper and len(pepper) < MIN_PEPPER:
        yield f"TOCSIN_SECURITY__TOKEN_PEPPER has fewer than {MIN_PEPPER} characters (openssl rand -hex 32)"
    for entry in settings.security.encryption_keys:
        key_id, key = decode_key_entry(entry.get_secret_value())
        if not looks_drawn(key):
            yield f"TOCSIN_SECURITY__ENCRYPTION_KEYS: key {key_id!r} is not random (openssl rand -base64 32)"
    for secret in (*_passwords(settings), *_own_secrets(settings)):
        if len(secret.value) < MIN_PASSWORD:
            yield f"{secret.setting} holds a password or key of fewer than {MIN_PASSWORD} characters (openssl rand -hex 24)"
        elif looks_typed(secret.value):
            yield f"{secret.setting} holds a password or key that can be guessed (openssl rand -hex 24)"


def looks_drawn(key: bytes) -> bool:
    """This will tell bytes of a random source from text, repetition and counting (wrong for one drawn key in 4 * 10^9)."""
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    return len(set(key)) >= MIN_DISTINCT_KEY_BYTES and len(steps) > 1 and not _repeats(key) and not key.isascii()


def looks_typed(value: str) -> bool:
    """This will tell a well-known word, a run of neighbours or a repetition from what a random source gives."""
    lowered = value.lower()
    if len(set(lowered)) < MIN_DISTINCT or _repeats(lowered):
        return True
    letters = "".join(character for character in lowered if character.isalnum())
    for word in sorted(WELL_KNOWN, key=len, reverse=True):
        letters = letters.replace(word, "")
    for sequence in SEQUENCES:
        for run in _runs(sequence):
            letters = letters.replace(run, "")
    # What is left once words and runs are taken out is what somebody would have to guess.
    return len(letters) < MIN_PASSWORD // 2


def _repeats(value: str | bytes) -> bool:
    size = len(value)
    return any(size % part == 0 and value == value[:part] * (size // part) for part in range(1, size // 2 + 1))


def _runs(sequence: str) -> Iterator[str]:
    for size in range(len(sequence), 3, -1):
        for start in range(len(sequence) - size + 1):
            yield sequence[start : start + size]
            yield sequence[start : start + size][::-1]


def _passwords(settings: Settings) -> Iterator[Secret]:
    """The passwords inside connection URLs."""
    database = settings.database
    urls = {
        "TOCSIN_DATABASE__APP_URL": database.app_url,
        "TOCSIN_DATABASE__SYSTEM_URL": database.system_url,
        "TOCSIN_DATABASE__OWNER_URL": database.owner_url,
        "TOCSIN_DATABASE__BACKUP_URL": database.backup_url,
        "TOCSIN_REDIS__URL": settings.redis.url,
    }
    for setting, url in urls.items():
        password = urlsplit(url.get_secret_value()).password if url is not None else None
        if password:
            yield Secret(setting, unquote(password))


def _own_secrets(settings: Settings) -> Iterator[Secret]:
    """Secrets that are ours to make; a key that another service issued has the shape that it gave it."""
    pepper = settings.security.token_pepper.get_secret_value()
    if len(pepper) >= MIN_PEPPER:
        yield Secret("TOCSIN_SECURITY__TOKEN_PEPPER", pepper)
    cursor_key = settings.http.cursor_key.get_secret_value()
    if cursor_key:
        yield Secret("TOCSIN_HTTP__CURSOR_KEY", cursor_key)


def _used_twice(settings: Settings) -> Iterator[str]:
    found = [(secret.setting, secret.value) for secret in (*_passwords(settings), *all_secrets(settings))]
    uses = Counter(value for _, value in found)
    for value in [value for value, count in uses.items() if count > 1]:
        yield f"the same secret is used for {' and '.join(sorted(name for name, other in found if other == value))}"


def all_secrets(model: BaseModel, prefix: str = "TOCSIN_") -> Iterator[Secret]:
    """This will yield every non-empty secret setting, of this section and the ones in it, also of later releases."""
    for name in type(model).model_fields:
        value, setting = getattr(model, name), f"{prefix}{name.upper()}"
        if isinstance(value, BaseModel):
            yield from all_secrets(value, f"{setting}__")
            continue
        entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for entry in entries:
            if isinstance(entry, SecretStr) and entry.get_secret_value():
                # An encryption key's id is no part of the secret.
                text = entry.get_secret_value()
                yield Secret(setting, text.partition(":")[2] if setting.endswith("ENCRYPTION_KEYS") else text)


def _plain_http(settings: Settings, process: Process) -> Iterator[str]:
    if process is Process.API and not settings.http.public_url.startswith("https://"):
        yield "TOCSIN_HTTP__PUBLIC_URL is not https"
    if settings.ingest.public_url and not settings.ingest.public_url.startswith("https://"):
        yield "TOCSIN_INGEST__PUBLIC_URL is not https"
    llm = settings.enhancement.llm
    if llm.base_url and llm.api_key.get_secret_value() and not llm.base_url.startswith("https://"):
        yield "TOCSIN_ENHANCEMENT__LLM__BASE_URL is not https, so the key would travel in the open"
    telemetry = settings.telemetry
    if telemetry.otlp_endpoint and telemetry.otlp_headers and not telemetry.otlp_endpoint.startswith("https://"):
        yield "TOCSIN_TELEMETRY__OTLP_ENDPOINT is not https, so the keys in its headers would travel in the open"


def _plain_mail(settings: Settings, process: Process) -> Iterator[str]:
    if process is Process.SMTP and settings.smtp.certificate_file is None and not settings.smtp.allow_plain:
        yield (
            "TOCSIN_SMTP__CERTIFICATE_FILE is empty, so addresses, which are secrets, would travel in the open"
            " (TOCSIN_SMTP__ALLOW_PLAIN=true where a mail server of yours stands in front)"
        )


def _left_from_development(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    if settings.failpoints:
        yield "TOCSIN_FAILPOINTS makes processes fail on purpose"
    if DEMO_MARKER in environ:
        yield f"{DEMO_MARKER} is set: this is the embedded stack of 'tocsin up', which is for one person's machine"
    for entry in settings.security.egress_allow:
        if _opens_loopback(entry):
            yield f"TOCSIN_SECURITY__EGRESS_ALLOW opens loopback ({entry}): tenants would reach this process's own ports"


def _opens_loopback(entry: str) -> bool:
    try:
        network = ipaddress.ip_network(entry)
    except ValueError:
        return False  # host:port names one service on purpose
    loopback = ipaddress.ip_network("127.0.0.0/8" if network.version == 4 else "::1/128")
    return network.overlaps(loopback)
