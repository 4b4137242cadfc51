"""The address of an email source: its public id and its secret before the @, at any domain.

``0v3…q.hw7…k@alerts.example.com``. The domain is only how mail finds us. The id has a fixed length, so whatever sign
stands between the two is the separator; some senders refuse ``+``, some change capitals.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from app.ingest.rules.mail import address_of

__all__ = ["Claim", "address_of", "parse_path", "read_claim"]

PATH_MAX = 320
_CLAIM = re.compile(r"([0-9a-zA-Z]{26})[.+_=-]([A-Za-z0-9._~-]{1,200})", re.ASCII)
# Source routes are dropped, as RFC 5321, appendix C, asks for. Quoted local parts name no source.
_PATH = re.compile(r"<(?:@[^:<>\s]{1,255}:)?([^<>\s\"]{0,320})>[ \t]*(.*)", re.DOTALL)


class Claim(NamedTuple):
    """What an address says: which source, and the secret in the spellings to try."""

    public_id: str
    secrets: tuple[str, ...]
    spelt: str


def parse_path(argument: str) -> tuple[str, str] | None:
    """This will return the address between the angle brackets and what follows them; None where it is no path."""
    match = _PATH.fullmatch(argument.strip())
    if match is None:
        return None
    address, rest = match.groups()
    if address and (address.count("@") != 1 or not address.isprintable()):
        return None
    return address, rest


def read_claim(address: str) -> Claim | None:
    """This will return what the address claims, None where it has not the form of a source's address."""
    match = _CLAIM.fullmatch(address.rpartition("@")[0])
    if match is None:
        return None
    public_id, secret = match.groups()
    return Claim(public_id.lower(), (secret, secret.lower()), secret)
