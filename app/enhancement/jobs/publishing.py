"""One note on the ticket, however often the job runs: journalled, found again by its marker, edited rather than added."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from app.db.jobs.context import JobContext
from app.db.jobs.effects import (
    Effect,
    EffectFailed,
    EffectResult,
    EffectState,
    ProbeVerdict,
    Repeat,
    effect_key,
    perform,
)
from app.db.tenancy import TenantSession
from app.enhancement.contract import Desk, DeskFailure, DeskNote
from app.enhancement.rules.render import marker
from app.enhancement.rules.text import plain_text
from app.enhancement.service.progress import record_published

log = structlog.get_logger(__name__)


class Publication:
    """The writing of one note.

    Args:
        generation: The number of the try; a retry by a person is another effect on the same note.
    """

    def __init__(
        self,
        ctx: JobContext,
        desk: Desk,
        *,
        enhancement_id: UUID,
        generation: int,
        ticket: str,
        note: str,
        timeout_s: float,
    ) -> None:
        self._ctx = ctx
        self._desk = desk
        self._enhancement_id = enhancement_id
        self._generation = generation
        self._ticket = ticket
        self._note = note
        self._timeout_s = timeout_s
        self._found_id = ""
        self._failure: DeskFailure | None = None

    async def publish(self) -> None:
        """This will put the note there once and record it in the transaction of the effect's outcome.

        Raises:
            DeskFailure: The desk certainly does not have the note.
            NoteUnconfirmed: Nobody can tell whether it has.
            RetryLater: An earlier call's outcome has to be waited out.
        """
        effect = Effect(
            key=effect_key("ticket_note", self._enhancement_id, self._generation),
            kind="ticket.note",
            target=f"ticket:{self._ticket}",
            request={"enhancement_id": str(self._enhancement_id), "generation": self._generation},
            timeout_s=3 * self._timeout_s,
            repeat=Repeat.KEYED,
        )
        result = await perform(self._ctx, effect, send=self._send, probe=self._probe, on_outcome=self._on_outcome)
        if result.state is EffectState.FAILED:
            raise self._failure or DeskFailure("desk_error", "the note was not written", retryable=True)
        if result.state is EffectState.UNKNOWN:
            raise NoteUnconfirmed

    async def _send(self, deadline: float) -> dict[str, Any]:
        """List before writing: the target holds the idempotency, as the note that carries our marker."""
        del deadline
        try:
            ours = await self._ours()
        except DeskFailure as failure:
            # Only reading was tried, so nothing was written.
            raise self._not_applied(failure) from failure
        if ours is not None and self._is_current(ours):
            return {"note_id": ours.id, "written": False}
        try:
            note_id = await self._desk.put_note(
                self._ticket, note_id=ours.id if ours is not None else None, html=self._note
            )
        except DeskFailure as failure:
            if failure.applied is False:
                raise self._not_applied(failure) from failure
            return await self._seen_after(failure)
        return {"note_id": note_id, "written": True}

    async def _seen_after(self, failure: DeskFailure) -> dict[str, Any]:
        """An error answer is often sent after the note was stored: look at once, before waiting for the journal."""
        try:
            ours = await self._ours()
        except DeskFailure:
            raise failure from None
        if ours is None or not self._is_current(ours):
            raise failure
        return {"note_id": ours.id, "written": True, "confirmed": True}

    async def _probe(self, request: dict[str, Any]) -> ProbeVerdict:
        del request
        try:
            ours = await self._ours()
        except DeskFailure as failure:
            log.warning("enhancement.probe_failed", reason=failure.code)
            return ProbeVerdict.CANNOT_TELL
        if ours is None:
            return ProbeVerdict.NOT_APPLIED
        self._found_id = ours.id
        return ProbeVerdict.APPLIED if self._is_current(ours) else ProbeVerdict.NOT_APPLIED

    def _is_current(self, found: DeskNote) -> bool:
        """Another text under our marker is an older try's: this edit has not arrived."""
        return _letters(found.text) == _letters(self._note)

    async def _ours(self) -> DeskNote | None:
        sign = marker(self._enhancement_id)
        notes = await self._desk.list_notes(self._ticket)
        return next((note for note in notes if sign in note.text), None)

    async def _on_outcome(self, session: TenantSession, result: EffectResult) -> None:
        if result.state is EffectState.DONE:
            now: datetime = self._ctx.clock.now()
            note_id = str(result.outcome.get("note_id") or self._found_id)
            await record_published(
                session, enhancement_id=self._enhancement_id, ticket=self._ticket, remote_note_id=note_id, now=now
            )

    def _not_applied(self, failure: DeskFailure) -> EffectFailed:
        self._failure = failure
        return EffectFailed(failure.code)


class NoteUnconfirmed(Exception):
    """The desk was asked to store the note and nobody can say whether it did."""


def _letters(html: str) -> str:
    """Desks reformat HTML; the visible letters and digits of a note survive that."""
    return "".join(char for char in plain_text(html, limit=64_000) if char.isalnum())
