"""TLS to the address that was judged, verified against the name."""

from __future__ import annotations

import os
import ssl
from pathlib import Path


class NamedContext(ssl.SSLContext):
    """Greets and verifies one name, whichever address is dialled.

    asyncpg takes no name beside the host that it connects to; handed the name as its host, it would look it up once
    more, and nobody would judge that answer.
    """

    server_name: str

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name, session)


def verifying(name: str) -> NamedContext:
    """This will return what ``verify-full`` means: the certificate is made out to ``name`` by a trusted authority.

    Trusted are, as for PostgreSQL's own clients, those of ``PGSSLROOTCERT`` or of ``~/.postgresql/root.crt``; without
    such a file those of the system.
    """
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    given, usual = os.environ.get("PGSSLROOTCERT"), Path.home() / ".postgresql" / "root.crt"
    if given or usual.is_file():
        context.load_verify_locations(cafile=given or usual)
    else:
        context.load_default_certs()
    return context
