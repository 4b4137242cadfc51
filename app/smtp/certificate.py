"""The listener's TLS certificate, read again when its file changes: renewals come every few weeks, restarts do not."""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class Certificate:
    """A certificate on disk.

    Raises:
        OSError: It cannot be read.
        ssl.SSLError: It is none, or its key is another's.
    """

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        self._files = (certificate_file, key_file)
        self._seen = self._changed_at()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """This will return the context to use now; a new certificate that cannot be read leaves the old one in use."""
        try:
            changed_at = self._changed_at()
            if changed_at != self._seen:
                self._context, self._seen = self._load(), changed_at
                log.info("smtp.certificate_renewed")
        except (OSError, ssl.SSLError) as error:
            log.error("smtp.certificate_not_read", error_type=type(error).__name__)
        return self._context

    def _changed_at(self) -> tuple[int, ...]:
        return tuple(path.stat().st_mtime_ns for path in self._files)

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._files)
        return context
