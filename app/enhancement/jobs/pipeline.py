"""The pipeline: fetch, redact, gather, rank, synthesise, validate, render, publish. A fixed line, no loop of a model.

Each stage ends in a short fenced transaction, and the stored state says where a later run goes on: a crash after the
model has answered costs no second call, a crash around the note is settled by the effects journal.
"""

from __future__ import annotations

from time import monotonic

import structlog
from structlog.contextvars import bound_contextvars

from app.core.jobs import PermanentJobError, registry
from app.db.jobs.context import JobContext
from app.enhancement.contract import DeskFailure, DeskTicket
from app.enhancement.jobs.composing import compose_note
from app.enhancement.jobs.definitions import EnhanceTicket
from app.enhancement.jobs.desk import connect_desk
from app.enhancement.jobs.measures import DURATION, OUTCOMES, stage
from app.enhancement.jobs.publishing import NoteUnconfirmed, Publication
from app.enhancement.schemas import EnhancementState
from app.enhancement.service.progress import Work, load_work, record_failed, record_fetched
from app.enhancement.service.tickets import record_ticket
from app.settings import Settings

log = structlog.get_logger(__name__)

_ENDED = frozenset({EnhancementState.PUBLISHED.value, EnhancementState.FAILED.value})
# The ticket may change while a note is written; then the note is written anew, this often.
_ROUNDS = 2


class Refused(Exception):
    """The enhancement ends without a note, for a reason that no retry by itself would change."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@registry.stepwise(EnhanceTicket)
async def enhance_ticket(ctx: JobContext, job: EnhanceTicket) -> None:
    """This will bring the enhancement to an end: a note on the ticket, or a typed reason why there is none."""
    started = monotonic()
    async with ctx.transaction() as session:
        work = await load_work(session, enhancement_id=job.enhancement_id)
    if work is None or work.enhancement.state in _ENDED:
        return
    with bound_contextvars(ticket_id=work.ticket.external_id, enhancement_id=str(job.enhancement_id)):
        reason = await _run(ctx, work)
        log.info("enhancement.finished", outcome=reason or "published", duration_s=round(monotonic() - started, 3))


async def _run(ctx: JobContext, work: Work) -> str:
    """Run the stages; return the reason for which there is no note, or nothing."""
    try:
        await _Run(ctx, work).write_note()
    except Refused as refusal:
        await _fail(ctx, work, refusal.code, refusal.detail, outcome="refused")
        return refusal.code
    except NoteUnconfirmed:
        await _fail(ctx, work, "note_unconfirmed", "The desk did not say whether it stored the note.", outcome="failed")
        return "note_unconfirmed"
    except DeskFailure as failure:
        if failure.retryable and ctx.attempt < ctx.max_attempts:
            raise
        await _fail(ctx, work, failure.code, f"The desk answered: {failure.detail}.", outcome="failed")
        if failure.retryable:
            raise PermanentJobError(str(failure)) from failure
        return failure.code
    OUTCOMES.labels("published", "").inc()
    return ""


class _Run:
    """One run of the stages, from wherever an earlier run left off."""

    def __init__(self, ctx: JobContext, work: Work) -> None:
        self._ctx = ctx
        self._work = work
        self._settings = ctx.resources.get(Settings).enhancement
        if not self._settings.enabled:
            raise Refused("disabled", "Enhancement is switched off in this installation.")
        if work.desk is None:
            raise Refused("no_desk", "No ticket system is configured for this tenant.")
        self._desk_row = work.desk
        self._desk = connect_desk(ctx, work.desk)

    async def write_note(self) -> None:
        """Compose unless that is done, see that the ticket is still the same, publish."""
        for _ in range(_ROUNDS):
            if self._work.enhancement.state != EnhancementState.COMPOSED:
                await self._compose()
            now = await self._fetch()
            if now.digest() == self._work.ticket.digest:
                with stage("publish", ticket_id=self._number):
                    await self._publish()
                return
            async with self._ctx.transaction() as session:
                await record_fetched(session, enhancement_id=self._work.enhancement.id, now=self._ctx.clock.now())
            await self._reload()
        raise Refused("ticket_changed", "The ticket kept changing while the note was written.")

    @property
    def _number(self) -> str:
        return self._work.ticket.external_id

    async def _compose(self) -> None:
        ticket = await self._fetch()
        async with self._ctx.transaction() as session:
            now = self._ctx.clock.now()
            await record_ticket(
                session, system=self._work.ticket.system, ticket=ticket, now=now, desk_id=self._desk_row.id
            )
            await record_fetched(session, enhancement_id=self._work.enhancement.id, now=now)
        with stage("compose", ticket_id=self._number):
            await compose_note(self._ctx, self._work, ticket, desk=self._desk_row)
        await self._reload()

    async def _fetch(self) -> DeskTicket:
        """Read the ticket from the desk; a closed one takes no note."""
        with stage("fetch", ticket_id=self._number):
            ticket = await self._desk.fetch(self._number)
        if ticket.closed:
            raise Refused("ticket_closed", f"The ticket is {ticket.status.lower()}.")
        return ticket

    async def _reload(self) -> None:
        async with self._ctx.transaction() as session:
            fresh = await load_work(session, enhancement_id=self._work.enhancement.id)
        if fresh is None:
            raise Refused("gone", "The enhancement was deleted.")
        self._work = fresh

    async def _publish(self) -> None:
        enhancement = self._work.enhancement
        publication = Publication(
            self._ctx,
            self._desk,
            enhancement_id=enhancement.id,
            generation=enhancement.generation,
            ticket=self._number,
            note=enhancement.note,
            timeout_s=self._settings.desk_timeout_s,
        )
        await publication.publish()
        taken_s = (self._ctx.clock.now() - enhancement.created_at).total_seconds()
        DURATION.labels(enhancement.method).observe(max(0.0, taken_s))


async def _fail(ctx: JobContext, work: Work, code: str, detail: str, *, outcome: str) -> None:
    async with ctx.transaction() as session:
        await record_failed(
            session,
            enhancement_id=work.enhancement.id,
            ticket=work.ticket.external_id,
            reason_code=code,
            reason=detail,
            now=ctx.clock.now(),
        )
    OUTCOMES.labels(outcome, code).inc()
