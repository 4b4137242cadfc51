"""The smallest valid values and rows of the enhancement domain."""

from __future__ import annotations

from typing import Any

from app.enhancement.rules.evidence import Evidence, SourceKind


def make_evidence(**differs: Any) -> Evidence:
    """This will return one packed item; a test names only what differs."""
    values: dict[str, Any] = {
        "id": "E1",
        "source": SourceKind.TICKET,
        "ref": "1001",
        "title": "Checkout returns 502",
        "text": "Resolution: Restarted the payment worker and raised its memory limit.\nCheckout fails with HTTP 502.",
        "resolution": "Restarted the payment worker and raised its memory limit.",
        "why": ("same error",),
    }
    return Evidence(**{**values, **differs})
