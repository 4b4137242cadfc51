"""What went wrong with a Redis server, by the error's type and never in the server's words."""

from __future__ import annotations

from typing import Final

from redis import exceptions as redis

from app.remediation.failures import connection_failure

# The first that fits counts, so the narrower types stand first.
_KINDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (redis.AuthenticationError, "the user name or the password is wrong or missing"),
    (redis.NoPermissionError, "the user may not do this (NOPERM)"),
    (redis.BusyLoadingError, "the server is still loading its data (LOADING)"),
    (redis.MovedError, "another server of the cluster holds the key (MOVED)"),
    (redis.AskError, "another server of the cluster takes over the key (ASK)"),
    (redis.ClusterDownError, "the cluster is down (CLUSTERDOWN)"),
    (redis.TryAgainError, "the cluster is moving the key (TRYAGAIN)"),
    (redis.InvalidResponse, "the answer is none of a Redis server"),
    (redis.TimeoutError, "timed out"),
)
_WRONG_TYPE: Final = "WRONGTYPE "
_FULL: Final = "max number of clients reached"


def failure_of(error: Exception) -> str:
    """This will say why there is no answer."""
    for kind, words in _KINDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, redis.ResponseError):
        # Only compared: what stands behind the first word is the server's.
        is_wrong_type = str(error).startswith(_WRONG_TYPE)
        return "the key holds no list (WRONGTYPE)" if is_wrong_type else "the server answered with an error"
    if isinstance(error, redis.ConnectionError):
        if str(error) == _FULL:
            return "the server has as many clients as it takes"
        return connection_failure(error) or "the connection was closed"
    return connection_failure(error) or "the answer is none of a Redis server"
