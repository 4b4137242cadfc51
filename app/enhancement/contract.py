"""What a plug-in of enhancement must be: a desk, a context source, a model."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from app.enhancement.rules.entities import Entities
from app.enhancement.rules.evidence import Evidence, SourceKind
from app.enhancement.rules.prompt import RedactedMessage
from app.net.outbound import OutboundHttp


class DeskFailure(Exception):
    """A call to a ticket system did not succeed.

    Attributes:
        code: Stable reason, shown to the tenant.
        retryable: Trying again later may help.
        applied: False where the desk has certainly not applied the call; None where nobody knows.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool, applied: bool | None = False) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.applied = applied


@dataclass(frozen=True, kw_only=True)
class DeskAccess:
    """How to reach one tenant's desk. ``secret`` never appears in a log, a row or an error."""

    base_url: str
    secret: str
    options: Mapping[str, Any]
    timeout_s: float

    def __repr__(self) -> str:
        return f"DeskAccess({self.base_url!r})"


@dataclass(frozen=True, kw_only=True)
class DeskTicket:
    """A ticket as the desk has it now; texts may be HTML."""

    external_id: str
    title: str
    body: str
    resolution: str
    status: str
    closed: bool
    people: tuple[str, ...]
    url: str

    def digest(self) -> str:
        """This will return a hash of what a note is about; a changed assignee is no change."""
        return hashlib.sha256(f"{self.title}\x00{self.body}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class DeskNote:
    """One note on a ticket."""

    id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class DeskCapabilities:
    """What a desk can do, as data."""

    edits_notes: bool
    hides_notes_from_requester: bool


class Desk(Protocol):
    """One tenant's ticket system. Every method raises DeskFailure and nothing else that is anticipated."""

    async def fetch(self, external_id: str) -> DeskTicket:
        """This will read the ticket."""
        ...

    async def list_notes(self, external_id: str) -> list[DeskNote]:
        """This will read all notes of the ticket with their text."""
        ...

    async def put_note(self, external_id: str, *, note_id: str | None, html: str) -> str:
        """This will write a private note, or replace the text of ``note_id``, and return the note's id.

        No status, response clock or requester may be touched by it.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class DeskKind:
    """A kind of ticket system; each plug-in exports one as ``DESK``."""

    slug: str
    title: str
    options: type[BaseModel]
    capabilities: DeskCapabilities
    connect: Callable[[DeskAccess, OutboundHttp], Desk]


@dataclass(frozen=True, kw_only=True)
class ContextRequest:
    """What is asked of each context source, without secrets.

    Attributes:
        exclude: Names (``ref``) of the items that are the ticket itself.
    """

    title: str
    body: str
    entities: Entities
    signature_hash: str
    exclude: frozenset[str]
    limit: int
    now: datetime


class CaseLibrary(Protocol):
    """The tenant's searchable past, as a context source sees it."""

    async def search(self, *, kind: SourceKind, request: ContextRequest) -> list[Evidence]:
        """This will return the relevant items of one kind, best first, with why each was found."""
        ...


Gather = Callable[[ContextRequest, CaseLibrary], Awaitable[list[Evidence]]]


@dataclass(frozen=True, kw_only=True)
class ContextSource:
    """Somewhere to look; each plug-in exports one as ``CONTEXT``.

    Attributes:
        timeout_s: Its own deadline; a source that misses it becomes a line "not consulted".
    """

    slug: str
    title: str
    timeout_s: float
    gather: Gather


class ModelFailure(Exception):
    """A model gave no answer. ``outcome`` is a bounded code for metrics and the record."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(f"{outcome}: {detail}")
        self.outcome = outcome


@dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """What a model said and what it took."""

    text: str
    tokens_in: int
    tokens_out: int


class ChatModel(Protocol):
    """Something that answers redacted messages; it cannot be given any other text."""

    slug: ClassVar[str]

    async def complete(self, messages: Sequence[RedactedMessage], *, model: str, timeout_s: float) -> ModelAnswer:
        """This will return the model's text.

        Raises:
            ModelFailure: No usable HTTP answer within the time.
        """
        ...
