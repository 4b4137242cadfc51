"""Why a call came to nothing, in our own words.

What the called host itself says stays out: in a run's error it would make each target a way to read what stands behind
our firewall.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from typing import Final

# OpenSSL's numbers of why a certificate is not accepted.
_CERTIFICATES: Final = {
    10: "has expired",
    18: "is self-signed and not trusted",
    19: "has a chain that ends in an unknown authority",
    20: "comes from an unknown authority",
    62: "is not made out to this host name",
    64: "is not made out to this address",
}


# The first that fits counts, so the narrower types stand first.
_KINDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ssl.SSLError, "TLS: the handshake failed"),
    (TimeoutError, "timed out"),
    (ConnectionRefusedError, "the connection was refused"),
    (ConnectionResetError, "the connection was closed"),
    (BrokenPipeError, "the connection was closed"),
    (EOFError, "the connection was closed"),
)


def connection_failure(error: BaseException) -> str | None:
    """This will say what became of the connection, by the types of errors behind ``error``; None if it was not that."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: the server's certificate {_CERTIFICATES.get(cause.verify_code, 'is not accepted')}"
        for kind, words in _KINDS:
            if isinstance(cause, kind):
                return words
        if isinstance(cause, OSError):
            # The number's name is the system's own word; the text beside it may be anybody's.
            return f"no connection ({errno.errorcode.get(cause.errno or 0, type(cause).__name__)})"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
