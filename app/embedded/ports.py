"""Ports that are free: the wanted one, or else another, said aloud by the caller."""

from __future__ import annotations

import socket


def choose_port(wanted: int, *, host: str = "127.0.0.1", taken: frozenset[int] = frozenset()) -> int:
    """This will return ``wanted`` where it is free, else the first free one of the next fifty, else any."""
    for port in range(wanted, min(wanted + 50, 65536)):
        if port not in taken and is_free(host, port):
            return port
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """This will say whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
