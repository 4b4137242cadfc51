"""How the address of an email source is written."""

from __future__ import annotations

LOCAL_PART_MAX = 64
"""Octets before the @ that every mail server takes. Source: RFC 5321, section 4.5.3.1.1."""


def address_of(public_id: str, secret: str, *, domain: str) -> str:
    """This will write the address of a source. A dot is the one separator that no sender's form refuses."""
    return f"{public_id}.{secret}@{domain}"
