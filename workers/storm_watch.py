"""Asking how many alert storms go on, over all tenants; whose they are is their tenants' business."""

from __future__ import annotations

from sqlalchemy import text

from app.db.system import SystemSession
from app.observability.metrics import gauge
from workers.now_and_then import NowAndThen

ACTIVE = gauge("tocsin_storms_active", "Alert storms that go on now, of all tenants.", ())
EVERY_S = 5.0


class StormWatch(NowAndThen):
    """A sweep of the relay's that counts storms."""

    every_s = EVERY_S

    async def look(self, session: SystemSession) -> None:
        """This will set the gauge."""
        found = (await session.execute(text("select tocsin_private.count_storms()"))).scalar_one()
        ACTIVE.set(found)
