"""What production refuses to start with."""

from __future__ import annotations

from app.settings import Settings

MIN_PEPPER = 32


class WeakSettings(RuntimeError):
    """A secret is missing or weak; the message names the setting and how to make a good one."""


def refuse_weak_settings(settings: Settings) -> None:
    """This will pass in development and insist on real secrets in production.

    Raises:
        WeakSettings: Names every setting that falls short.
    """
    if settings.environment != "production":
        return
    short: list[str] = []
    if not settings.security.encryption_keys:
        short.append("TOCSIN_SECURITY__ENCRYPTION_KEYS is empty (make a key: openssl rand -base64 32)")
    if len(settings.security.token_pepper.get_secret_value()) < MIN_PEPPER:
        short.append(f"TOCSIN_SECURITY__TOKEN_PEPPER has fewer than {MIN_PEPPER} characters (openssl rand -hex 32)")
    if not settings.http.public_url.startswith("https://"):
        short.append("TOCSIN_HTTP__PUBLIC_URL is not https")
    if short:
        raise WeakSettings("refusing to start in production: " + "; ".join(short))
