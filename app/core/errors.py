"""The tree of anticipated failures.

TocsinError
├── NotFound            404  nothing there, or it is another tenant's
├── Conflict            409  the state does not allow it
├── Invalid             422  the request can never work as written
├── MalformedRequest    400  the bytes are not what they claim to be
├── Unauthenticated     401
├── Forbidden           403
├── PayloadTooLarge     413
├── UnsupportedMedia    415
└── Unavailable         503  try again later; carries ``retry_after_s``

A concrete class lives beside the code that raises it, has one of these categories as its parent and a
stable ``code``. ``app/http/problem.py`` alone turns categories into HTTP statuses.
"""

from __future__ import annotations

from typing import ClassVar


class TocsinError(Exception):
    """The root of every failure that was anticipated; anything else is a bug.

    Attributes:
        code: Stable, dotted, lower case; part of the public contract (``incident.not_found``).
        title: What happened, the same for each occurrence.
        hint: What the caller can do about it.
    """

    code: ClassVar[str] = "tocsin.error"
    title: ClassVar[str] = "The request could not be carried out"
    hint: ClassVar[str] = ""

    def __init__(self, detail: str = "", **context: object) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.context = context


class NotYet(Exception):
    """Base of what ends work for now without anything being wrong; neither logged nor traced as a failure."""


class NotFound(TocsinError):
    """Nothing there for this caller. Another tenant's row is exactly this, never Forbidden."""

    code = "not_found"
    title = "No such thing"
    hint = "Check the id; ids of other tenants do not resolve."


class Conflict(TocsinError):
    """The thing exists, but its state does not allow what was asked."""

    code = "conflict"
    title = "The current state does not allow this"


class Invalid(TocsinError):
    """The request is well formed but can never work as written."""

    code = "invalid"
    title = "The request is not valid"


class MalformedRequest(TocsinError):
    """The bytes are not what they claim to be."""

    code = "malformed"
    title = "The request could not be parsed"


class Unauthenticated(TocsinError):
    """No credential, or one that does not hold."""

    code = "unauthenticated"
    title = "Authentication failed"


class Forbidden(TocsinError):
    """The caller is known and may not do this."""

    code = "forbidden"
    title = "Your role does not allow this"


class PayloadTooLarge(TocsinError):
    """The body is over the limit."""

    code = "payload_too_large"
    title = "The body is too large"


class UnsupportedMedia(TocsinError):
    """The content type or coding is not accepted here."""

    code = "unsupported_media_type"
    title = "The content type is not accepted"


class Unavailable(TocsinError):
    """Temporarily impossible: overload or a dependency that is down. Always worth a retry."""

    code = "unavailable"
    title = "Temporarily unavailable"
    hint = "Retry after the number of seconds in Retry-After."

    def __init__(self, detail: str = "", *, retry_after_s: int = 1, **context: object) -> None:
        super().__init__(detail, **context)
        self.retry_after_s = retry_after_s
