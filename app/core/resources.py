"""A typed bag of the things a process builds once: database, clients, key ring, clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


class Resources:
    """What a process built at start, found again by type.

    One instance per process; API endpoints reach it through ``request.app.state.resources`` and job
    handlers through ``ctx.resources``. Holding them here keeps module-level state out of the domains.
    """

    def __init__(self) -> None:
        self._by_type: dict[type[object], object] = {}
        self._closers: list[Callable[[], Awaitable[None]]] = []

    def on_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """This will have ``closer`` awaited before anything that it may use is closed; it may run twice."""
        self._closers.append(closer)

    async def run_closers(self) -> None:
        """This will end what runs on these resources, the latest first."""
        while self._closers:
            await self._closers.pop()()

    def provide(self, kind: type[T], instance: T) -> None:
        """This will make ``instance`` the process's one ``kind``; protocols are fine as keys."""
        self._by_type[kind] = instance

    def get(self, kind: type[T]) -> T:
        """This will return the instance provided for ``kind``.

        Raises:
            LookupError: Nothing was provided: the process was wired wrongly.
        """
        try:
            return cast("T", self._by_type[kind])
        except KeyError:
            raise LookupError(f"no {kind.__name__} was provided to this process") from None
