"""``tocsin restore``: a command of its own name; it lives with ``tocsin backup``."""

from __future__ import annotations

from app.cli.backup import restore_app as app

__all__ = ["app"]
