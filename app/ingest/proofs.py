"""Proofs that are not in the request alone: keys that others publish, and certificates that a proxy has seen.

Kept apart from the route, which does most of its work without any of it.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import MutableMapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from app.core.resources import Resources
from app.ingest.known_sources import KnownSource
from app.net.outbound import OutboundHttp
from app.net.signing import RefusalReason, Refused, ShownCertificate, SignedRequest, Verified
from app.net.signing.certificates import MAX_HEADER_BYTES, read_header
from app.net.signing.format import Kind
from app.net.signing.remote_keys import RemoteKeys, fetch_with
from app.settings.ingest import IngestSettings

Scope = MutableMapping[str, Any]
K = TypeVar("K", bound=RemoteKeys)


class Proofs:
    """Verifies the sources that need more than their request.

    Args:
        keys: The process's published keys.
        settings: Which header holds a certificate, and from whom it is believed.
    """

    def __init__(self, keys: RemoteKeys, settings: IngestSettings) -> None:
        self._keys = keys
        self._certificates = CertificateHeader(settings.client_cert_header, settings.client_cert_proxies)

    async def verify(
        self, source: KnownSource, request: SignedRequest, scope: Scope, now: datetime
    ) -> Verified | Refused:
        """This will verify a request of a source that ``verify`` alone cannot judge.

        Raises:
            KeysUnavailable: The keys that would tell cannot be fetched now.
        """
        if source.profile.kind is Kind.MTLS:
            request = request._replace(certificate=self._certificates.shown(request.headers, scope.get("client")))
        return await self._keys.verify(source.profile, request, source.secrets, now, tenant=source.tenant_id)

    async def aclose(self) -> None:
        """This will give up what is being fetched."""
        await self._keys.aclose()


class TrialKeys(RemoteKeys):
    """The published keys of trials: what is only tried out takes no turn and no place in memory from deliveries."""


def keys_of_process(resources: Resources, kind: type[K]) -> K:
    """This will return the published keys that the process's intake believes, or those of its trials."""
    try:
        return resources.get(kind)
    except LookupError:
        made = kind(fetch_with(resources.get(OutboundHttp)), ticks=time.monotonic)
        resources.provide(kind, made)
        resources.on_close(made.aclose)
        return made


class CertificateHeader:
    """The header in which a proxy shows the client's certificate; believed from the proxies that were named, and only there.

    Anybody can send a header, so without both settings there is no certificate at all.
    """

    def __init__(self, name: str, proxies: Sequence[str]) -> None:
        self._name = name.lower().encode()
        self._networks = tuple(ipaddress.ip_network(proxy) for proxy in proxies)

    def shown(self, headers: Sequence[tuple[bytes, bytes]], client: object) -> ShownCertificate | None:
        """This will return what the proxy shows, None where the installation has no such proxy."""
        if not self._name or not self._networks:
            return None
        if not self._is_proxy(client):
            return ShownCertificate(None, RefusalReason.UNTRUSTED)
        values = [value for name, value in headers if name == self._name]
        if not values or not values[0]:
            return ShownCertificate(None, RefusalReason.MISSING)
        if len(values) > 1 or len(values[0]) > MAX_HEADER_BYTES:
            return ShownCertificate(None, RefusalReason.MALFORMED)
        return ShownCertificate(read_header(values[0]))

    def _is_proxy(self, client: object) -> bool:
        if not isinstance(client, tuple | list) or not client:
            return False
        try:
            address = ipaddress.ip_address(str(client[0]))
        except ValueError:
            return False
        return any(address in network for network in self._networks)
