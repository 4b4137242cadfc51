"""What technicians think of the notes. It is stored and counted, and never given back to a model as an instruction."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from app.audit.service import record as audit
from app.core.actor import Actor
from app.core.errors import Invalid, NotFound
from app.core.ids import new_id
from app.core.redaction import remove_secrets
from app.db.tenancy import TenantSession
from app.enhancement.models import EnhancementRow, FeedbackRow, TicketRow
from app.enhancement.repository import records
from app.enhancement.rules.text import plain_text
from app.enhancement.schemas import FeedbackView, NewFeedback, Sentiment
from app.observability.metrics import counter, histogram

GIVEN = counter("tocsin_enhancement_feedback_total", "Ratings of notes, by sentiment.", ("sentiment",))
STARS = histogram("tocsin_enhancement_rating_stars", "Stars given to notes.", buckets=(1, 2, 3, 4, 5))


class NothingToRate(NotFound):
    """No enhancement with that id or for that ticket in this tenant."""

    code = "enhancement.nothing_to_rate"
    title = "There is no enhancement to rate"


class DatesReversed(Invalid):
    """The period ends before it starts."""

    code = "enhancement.dates_reversed"
    title = "The end date is before the start date"


def sentiment_of(*, rating: int | None, thumbs: str | None) -> Sentiment:
    """This will read an opinion: a thumb says it outright, else four stars and more are positive, two and less not."""
    if thumbs is not None:
        return Sentiment.POSITIVE if thumbs == "up" else Sentiment.NEGATIVE
    stars = rating or 3
    return Sentiment.POSITIVE if stars >= 4 else Sentiment.NEGATIVE if stars <= 2 else Sentiment.NEUTRAL


async def give_feedback(session: TenantSession, *, given: NewFeedback, actor: Actor, now: datetime) -> FeedbackView:
    """This will store an opinion with what the note was made from.

    Raises:
        NothingToRate: No such enhancement.
    """
    pair = await _find_rated(session, given)
    if pair is None:
        raise NothingToRate("Name an enhancement of this tenant, or the number of an enhanced ticket.")
    enhancement, ticket = pair
    evidence = await records.list_evidence(session, enhancement.id)
    row = FeedbackRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        enhancement_id=enhancement.id,
        ticket=ticket.external_id,
        rating=given.rating,
        sentiment=sentiment_of(rating=given.rating, thumbs=given.thumbs).value,
        reason_code=given.reason_code.value if given.reason_code else "",
        comment=remove_secrets(plain_text(given.comment, limit=4000)),
        technician=plain_text(given.technician, limit=200),
        method=enhancement.method,
        model=enhancement.model,
        prompt_version=enhancement.prompt_version,
        evidence=[f"{item.source}:{item.ref}" for item in evidence],
        given_by=actor.id,
        created_at=now,
    )
    await records.add_feedback(session, row)
    GIVEN.labels(row.sentiment).inc()
    if given.rating is not None:
        STARS.observe(given.rating)
    detail = {"rating": given.rating, "sentiment": row.sentiment, "reason_code": row.reason_code}
    subject = f"enhancement:{enhancement.id}"
    await audit(session, actor=actor, action="feedback.given", subject=subject, detail=detail, now=now)
    return _view(row)


async def _find_rated(session: TenantSession, given: NewFeedback) -> tuple[EnhancementRow, TicketRow] | None:
    """The enhancement that was named, by its id or by its ticket's number."""
    enhancement_id = given.enhancement_id
    if enhancement_id is None and given.ticket_id is not None:
        ticket = await records.find_ticket_by_number(session, system=given.system, external_id=given.ticket_id)
        found = await records.find_enhancement_of_ticket(session, ticket.id) if ticket is not None else None
        enhancement_id = found.id if found is not None else None
    return None if enhancement_id is None else await records.find_enhancement_with_ticket(session, enhancement_id)


async def list_feedback(
    session: TenantSession,
    *,
    start: datetime | None,
    end: datetime | None,
    ticket: str | None,
    enhancement_id: UUID | None,
    max_rating: int | None,
    before: UUID | None,
    limit: int,
) -> list[FeedbackView]:
    """This will return opinions, newest first; ``end`` is exclusive."""
    rows = await records.page_of_feedback(
        session,
        start=start,
        end=end,
        ticket=ticket,
        enhancement_id=enhancement_id,
        max_rating=max_rating,
        before=before,
        limit=limit,
    )
    return [_view(row) for row in rows]


def day_range(start_date: date | None, end_date: date | None) -> tuple[datetime | None, datetime | None]:
    """This will turn two days, both included, into a half-open range in UTC.

    Raises:
        DatesReversed: The period ends before it starts.
    """
    if start_date and end_date and end_date < start_date:
        raise DatesReversed(f"{end_date} is before {start_date}.")
    start = datetime.fromisoformat(f"{start_date}T00:00:00+00:00") if start_date else None
    end = datetime.fromisoformat(f"{end_date}T00:00:00+00:00") + timedelta(days=1) if end_date else None
    return start, end


def _view(row: FeedbackRow) -> FeedbackView:
    return FeedbackView(
        id=row.id,
        tenant_id=row.tenant_id,
        enhancement_id=row.enhancement_id,
        ticket_id=row.ticket,
        rating=row.rating,
        sentiment=Sentiment(row.sentiment),
        reason_code=row.reason_code,
        comment=row.comment,
        technician=row.technician,
        method=row.method,
        model=row.model,
        prompt_version=row.prompt_version,
        evidence=row.evidence,
        created_at=row.created_at,
    )
