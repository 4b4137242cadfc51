"""Opinions summed up over a period, against the targets of the service."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from app.db.tenancy import TenantSession
from app.enhancement.repository import records
from app.enhancement.schemas import FeedbackDay, FeedbackStats, Sentiment
from app.enhancement.service.feedback import day_range

RATING_TARGET = 4.0
POSITIVE_TARGET = 0.7


@dataclass
class _Tally:
    ratings: Counter[int] = field(default_factory=Counter)
    sentiments: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, group: records.FeedbackGroup) -> None:
        self.sentiments[group.sentiment] += group.count
        if group.reason_code:
            self.reasons[group.reason_code] += group.count
        if group.rating is not None:
            self.ratings[group.rating] += group.count

    def average(self) -> float | None:
        count = sum(self.ratings.values())
        return round(sum(stars * n for stars, n in self.ratings.items()) / count, 2) if count else None


async def feedback_stats(session: TenantSession, *, start_date: date | None, end_date: date | None) -> FeedbackStats:
    """This will sum opinions up, days in UTC, both ends included.

    Raises:
        DatesReversed: The period ends before it starts.
    """
    start, end = day_range(start_date, end_date)
    whole = _Tally()
    by_day: dict[date, _Tally] = {}
    by_method: dict[str, _Tally] = {}
    for group in await records.group_feedback(session, start=start, end=end):
        whole.add(group)
        by_day.setdefault(group.day, _Tally()).add(group)
        by_method.setdefault(group.method or "unknown", _Tally()).add(group)
    average, total = whole.average(), sum(whole.sentiments.values())
    share = round(whole.sentiments["positive"] / total, 3) if total else None
    return FeedbackStats(
        tenant_id=session.tenant_id,
        start_date=start_date,
        end_date=end_date,
        count=total,
        average_rating=average,
        ratings={str(stars): whole.ratings[stars] for stars in range(1, 6)},
        positive_share=share,
        sentiments={sentiment.value: whole.sentiments[sentiment.value] for sentiment in Sentiment},
        reasons=dict(whole.reasons.most_common()),
        methods={method: tally.average() for method, tally in sorted(by_method.items())},
        by_day=[
            FeedbackDay(day=day, count=sum(tally.sentiments.values()), average_rating=tally.average())
            for day, tally in sorted(by_day.items())
        ],
        meets_rating_target=None if average is None else average > RATING_TARGET,
        meets_sentiment_target=None if share is None else share > POSITIVE_TARGET,
    )
