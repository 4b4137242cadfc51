"""Answers for an orchestrator on the metrics port of processes that serve nothing else (relay, worker).

Alive means that the process's loop completes its work, not that a port is open: a worker whose broker connection is dead
or whose loop hangs still answers on a thread, so the answer is when the last poll was completed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Probe = Callable[[], bool]
LIVE_PATH = "/livez"
READY_PATH = "/readyz"


class Pulse:
    """When a loop last completed a round. ``beat`` is called by the loop, the rest from any thread.

    Args:
        max_age_s: Seconds without a completed round after which the loop is taken to be stuck.
        clock: Seconds that only go forwards.
    """

    def __init__(self, *, max_age_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_age_s = max_age_s
        self._clock = clock
        self._last: float | None = None
        self._ending = False

    def beat(self) -> None:
        """This will note a completed round."""
        self._last = self._clock()

    def end(self) -> None:
        """This will note that the loop ends on purpose: no longer ready, but not stuck either."""
        self._ending = True

    def is_live(self) -> bool:
        """Whether rounds complete. A drain counts: it ends by itself, and a kill would cost its jobs a lease."""
        return self._ending or self._is_recent()

    def is_ready(self) -> bool:
        """Whether rounds complete and more will come."""
        return not self._ending and self._is_recent()

    def probes(self) -> dict[str, Probe]:
        """This will return the paths to serve."""
        return {LIVE_PATH: self.is_live, READY_PATH: self.is_ready}

    def _is_recent(self) -> bool:
        return self._last is not None and self._clock() - self._last < self._max_age_s


def with_probes(application: WSGIApplication, probes: Mapping[str, Probe]) -> WSGIApplication:
    """This will answer the probes' paths with 200 or 503 and leave every other path to ``application``."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        probe = probes.get(environ.get("PATH_INFO", ""))
        if probe is None:
            return application(environ, start_response)
        ok = probe()
        start_response(
            "200 OK" if ok else "503 Service Unavailable",
            [("Content-Type", "text/plain"), ("Cache-Control", "no-store")],
        )
        return [b"ok\n" if ok else b"no round completed lately\n"]

    return answer
