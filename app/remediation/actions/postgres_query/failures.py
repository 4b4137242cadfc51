"""What went wrong with a PostgreSQL server, by the error's type and code and never in the server's words."""

from __future__ import annotations

from typing import Final

import asyncpg

from app.remediation.failures import connection_failure

_WRONG_LOGIN: Final = frozenset({"28000", "28P01"})
_KNOWN: Final = {
    "3D000": "there is no such database",
    "42501": "the user may not do this",
    "53300": "the server has as many connections as it takes",
    "55P03": "a lock was not to be had in time",
    "57014": "the statement was ended, as a rule for its time-out",
    "57P03": "the server is starting up or shutting down",
}


def failure_of(error: Exception) -> str:
    """This will say why there is no answer."""
    if isinstance(error, asyncpg.PostgresConnectionError):
        return connection_failure(error) or "the connection was closed"
    if isinstance(error, asyncpg.PostgresError):
        return _refusal(error)
    if type(error) is ConnectionError:
        # asyncpg's own, while it asks for TLS; those of the system are of narrower types.
        return "TLS: the server does not offer it"
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return f"the server cannot be talked to ({type(error).__name__})"
    return connection_failure(error) or "the answer is none of a PostgreSQL server"


def _refusal(error: asyncpg.PostgresError) -> str:
    # The class's code, not the message's: a code that PostgreSQL does not have would be the peer's text again.
    code = type(error).sqlstate
    if code is None:
        return "the server answered with an error of no known code"
    if code in _WRONG_LOGIN:
        return f"the user name or the password is wrong (SQLSTATE {code})"
    words = _KNOWN.get(code, f"the server answered with the error {type(error).__name__}")
    return f"{words} (SQLSTATE {code})"
