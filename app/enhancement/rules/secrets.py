"""Credentials in tickets: hidden by the rules that hold for the whole application."""

from __future__ import annotations

from app.core.redaction import SECRET, remove_secrets

__all__ = ["SECRET", "remove_secrets"]
