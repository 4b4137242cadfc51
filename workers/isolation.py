"""Asking the live catalogue, while in service, whether tenants are still apart.

The tests ask the same questions of the migrated database; this finds what was done to it by hand since. Relays ask: they
are few, and see the catalogue without seeing any row.
"""

from __future__ import annotations

import structlog

from app.db.catalogue import QUESTIONS, examine
from app.db.system import SystemSession
from app.observability.metrics import gauge
from workers.now_and_then import NowAndThen

log = structlog.get_logger(__name__)

UNPROTECTED = gauge(
    "tocsin_rls_unprotected_relations",
    "Relations, keys and rights that break tenant isolation, by the question that found them; anything but 0 is an alarm.",
    ("question",),
)
EXAMINED = gauge("tocsin_rls_examined_timestamp_seconds", "Unix time of the last look at the catalogue.", ())
EVERY_S = 300.0


class IsolationWatch(NowAndThen):
    """A sweep of the relay's that looks at the catalogue."""

    every_s = EVERY_S

    async def look(self, session: SystemSession) -> None:
        """This will set the gauges, and log every finding as an error."""
        findings = await examine(await session.connection())
        for question in QUESTIONS:
            UNPROTECTED.labels(question).set(sum(finding.question == question for finding in findings))
        EXAMINED.set_to_current_time()
        for finding in findings:
            log.error("isolation.broken", question=finding.question, what=finding.what)
