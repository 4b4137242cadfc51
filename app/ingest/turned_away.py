"""What a sender over its limits is told: to come back, in the one status that it understands as that."""

from __future__ import annotations

from app.ingest.answers import Answer, problem
from app.ingest.rules.limits import Limited
from app.settings.limits import LimitSettings

_DETAIL = {
    Limited.RATE: "More came from this sender than its limit allows; send it again.",
    Limited.BACKLOG: "Too much of this sender's still waits to be worked through; send it again.",
}
# 503 unless the sender's profile says that it retries a 429: most take a 4xx for good, and drop what they have.
_STATUSES = (503, 429)


class TurnedAway:
    """The answers, built once."""

    def __init__(self, settings: LimitSettings) -> None:
        waits = {Limited.RATE: settings.retry_after_s, Limited.BACKLOG: settings.backlog_retry_after_s}
        self._answers = {
            (reason, status, unread): problem(
                status,
                f"ingest.{reason.value}",
                "Too much at once",
                _DETAIL[reason],
                reason.value,
                (b"retry-after", str(wait_s).encode()),
                close=unread,
            )
            for reason, wait_s in waits.items()
            for status in _STATUSES
            for unread in (False, True)
        }

    def answer(self, reason: Limited, *, status: int, unread: bool) -> Answer:
        """This will return the answer.

        Args:
            reason: Which limit.
            status: What the profile's sender understands as "come back".
            unread: The body was left where it is, so the connection cannot carry another request.
        """
        return self._answers[reason, status, unread]
