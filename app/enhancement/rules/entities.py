"""Addresses, hosts, links and error codes in a text: what two reports of one fault share exactly."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_IP4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)(?!\w)")
_IP6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s<>\"'`\])}]+", re.IGNORECASE)
_FQDN = re.compile(
    r"(?<![\w@./-])(?=[a-z0-9.-]{4,253}(?![\w-]))(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}(?![\w@-])",
    re.IGNORECASE,
)
# One label with a digit and a dash or letters before digits: web01, db-prod-2, sw-core-1.
_SHORT_HOST = re.compile(
    r"(?<![\w.@/-])(?:[a-z]{2,}(?:-[a-z0-9]+)*-?\d{1,4}|[a-z]{2,}(?:-[a-z]+)+\d{1,4})(?![\w@-]|\.\w)", re.I
)
_CODES = (
    re.compile(r"\b(?:ORA|SQLSTATE|TNS|DB2|SQL|ERR|KB|CVE|RFC|EVENT|WSA|DPI)[-_ ]?(?:\d{4}-)?[0-9A-Z]{3,}\b"),
    re.compile(r"\b0x[0-9a-fA-F]{4,16}\b"),
    re.compile(r"\bE(?:CONN|TIME|HOST|NET|NO|PIPE|ACCES|PERM|ADDR|AGAIN|MFILE|IO)[A-Z]*\b"),
    re.compile(r"\b(?:ERR|NET|SSL|TLS|DNS|STATUS)_[A-Z0-9_]{3,}\b"),
    re.compile(r"\b(?:[a-z_]\w*\.){0,6}[A-Z]\w*(?:Error|Exception|Timeout|Failure)\b"),
    re.compile(r"\bHTTP[/ ]?(?:\d\.\d )?[45]\d\d\b", re.IGNORECASE),
    re.compile(r"\b(?:error|exit|status|code)[ =:#]+\d{1,6}\b", re.IGNORECASE),
)
# Endings that look like a top-level domain and are file names instead.
_FILE_ENDINGS = (
    "py js ts log txt conf cfg yaml yml json xml html csv sh exe dll java go rs md service sql php jar tar gz zip "
    "pdf docx xlsx png jpg lock toml ini pid sock so deb rpm"
)
_FILES = frozenset(_FILE_ENDINGS.split())


@dataclass(frozen=True)
class Entities:
    """What was found, each in order of appearance and once."""

    ips: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    def keys(self) -> frozenset[str]:
        """This will return every entity in lower case, for comparing two texts."""
        return frozenset(value.lower() for group in (self.ips, self.hosts, self.urls, self.codes) for value in group)


def extract(text: str) -> Entities:
    """This will find the entities of a text; a number that only looks like an address is not one."""
    urls = _unique(URL.findall(text), text)
    rest = URL.sub(" ", text)
    return Entities(
        ips=_unique([ip for ip in _IP4.findall(text) + _IP6.findall(text) if _is_ip(ip)], text),
        hosts=_unique(_hosts(rest) + [host for url in urls if (host := _host_of(url))], text),
        urls=urls,
        codes=_unique([code for pattern in _CODES for code in pattern.findall(text)], text),
    )


def _hosts(text: str) -> list[str]:
    return [name for name in _FQDN.findall(text) if _ends_like_a_domain(name)] + _SHORT_HOST.findall(text)


def _ends_like_a_domain(name: str) -> bool:
    """File names and class names have dots too."""
    last = name.rsplit(".", 1)[-1]
    return last.lower() not in _FILES and (last.islower() or last.isupper())


def _host_of(url: str) -> str:
    authority = url.split("://", 1)[1].split("/", 1)[0].split("?", 1)[0].rsplit("@", 1)[-1]
    host = authority.rsplit(":", 1)[0] if ":" in authority and not authority.startswith("[") else authority
    return "" if _is_ip(host.strip("[]")) else host


def _is_ip(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    # "::" alone and short forms such as "1::" are far more often punctuation than an address.
    return address.version == 4 or value.count(":") >= 3 or len(value) > 6


def _unique(values: list[str], text: str) -> tuple[str, ...]:
    seen: dict[str, str] = {}
    for value in values:
        trimmed = value.rstrip(".,;:")
        seen.setdefault(trimmed.lower(), trimmed)
    return tuple(sorted(seen.values(), key=text.find))
