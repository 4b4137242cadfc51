"""The egress guard: which URLs and which addresses outgoing calls may reach.

The guard judges the address that is dialled, after name resolution, and the dialler connects to exactly that
address (``dialer.py``): a name that answers differently the second time gains nothing. The URL is parsed
once, by the client's own parser, so that guard and client cannot disagree about the host.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

import httpx

from app.net.errors import EgressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*")
_LOOKS_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_MAX_URL_CHARS: Final = 4096
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# Never, not even by an entry of the operator: cloud metadata, and IPv6 forms that carry an IPv4 address or a
# relay past every check of the address itself.
_NEVER: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local, with the metadata services of AWS, GCP, Azure and others
        "168.63.129.16/32",  # Azure's host agent, in public space
        "100.100.100.200/32",  # Alibaba's metadata
        "192.0.0.0/24",  # protocol assignments, with Oracle's metadata
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible, and unspecified; ::1 is judged before
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fd00:ec2::/32",  # AWS metadata over IPv6
        "fd20:ce::/32",  # GCP metadata over IPv6
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


class Reach(Enum):
    """How far one call may go; chosen by the code that knows who wrote the URL."""

    PUBLIC = "public"
    ALLOWED = "allowed"
    PRIVATE = "private"


class EgressPolicy:
    """The rules of one deployment: public addresses, and what the operator allowed besides."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._networks: list[tuple[Network, int | None]] = []
        self._names: set[tuple[str, int]] = set()
        for entry in allow:
            self._add(entry)

    def _add(self, entry: str) -> None:
        try:
            self._networks.append((ipaddress.ip_network(entry), None))
        except ValueError:
            host, _, port = entry.rpartition(":")
            name = host.strip("[]").lower()
            try:
                self._networks.append((ipaddress.ip_network(name), int(port)))
            except ValueError:
                self._names.add((name, int(port)))

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str], reach: Reach) -> list[str]:
        """This will return ``addresses`` if every one of them may be dialled.

        One bad address among good ones refuses the name: which one the peer's DNS shows first is its choice.

        Raises:
            EgressRefused: There is none, or one is refused.
        """
        if not addresses:
            raise EgressRefused("the host has no address")
        for text in addresses:
            if not self._permits(host, port, _parse_address(text), reach):
                raise EgressRefused("the host, or one of its addresses, may not be called from here")
        return list(addresses)

    def _permits(self, host: str, port: int, address: Address, reach: Reach) -> bool:
        is_loopback_v6 = address == ipaddress.IPv6Address("::1")
        if not is_loopback_v6 and any(address in network for network in _NEVER):
            return False
        if address.is_global and not address.is_multicast and not address.is_reserved:
            return True
        if reach is Reach.PUBLIC:
            return False
        return reach is Reach.PRIVATE or self._is_allowed(host, port, address)

    def _is_allowed(self, host: str, port: int, address: Address) -> bool:
        if (host, port) in self._names:
            return True
        return any(address in network and only in (None, port) for network, only in self._networks)


def parse_url(url: str) -> httpx.URL:
    """This will return the URL as the client will use it, or refuse it.

    Raises:
        EgressRefused: Not http(s); credentials, backslashes or blanks in it; a host that is empty, not ASCII,
            ends in a dot, has a zone, or is an address in any but its canonical spelling.
    """
    if len(url) > _MAX_URL_CHARS or not url.isascii() or any(c <= " " or c in "\\\x7f" for c in url):
        raise EgressRefused("the URL holds characters that have no place in a URL, or is too long")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise EgressRefused("the URL cannot be parsed") from None
    judge_url(parsed)
    return parsed


def judge_url(url: httpx.URL) -> tuple[str, int]:
    """This will return host and port of ``url``.

    Raises:
        EgressRefused: As for ``parse_url``.
    """
    if url.scheme not in _DEFAULT_PORTS:
        raise EgressRefused("only http and https are called")
    if url.userinfo:
        raise EgressRefused("a URL with credentials in it is not called")
    host = url.raw_host.decode("ascii", "replace")
    port = url.port if url.port is not None else _DEFAULT_PORTS[url.scheme]
    if not 0 < port < 65_536:
        raise EgressRefused("the port does not exist")
    if not is_address(host) and (_HOST.fullmatch(host) is None or _LOOKS_NUMERIC.fullmatch(host) is not None):
        raise EgressRefused("the host is neither a plain name nor an address in its usual spelling")
    return host, port


def is_address(host: str) -> bool:
    """This will say whether ``host`` is an address in canonical spelling: no octal, hex, short or zoned form."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _parse_address(text: str) -> Address:
    """This will parse what the resolver gave.

    Raises:
        EgressRefused: An address with a zone belongs to one link of this machine.
    """
    if not is_address(text):
        raise EgressRefused("the host's address cannot be called")
    return ipaddress.ip_address(text)
