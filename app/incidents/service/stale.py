"""Ending alerts whose sender fell silent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.core.actor import Actor
from app.core.ids import SourceId
from app.db.tenancy import TenantSession
from app.incidents.repository import reading
from app.incidents.rules.settle import expire
from app.incidents.service.announce import announce, write_notes
from app.incidents.service.worlds import load_world, store_world

_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Expired:
    """What a sweep did.

    Attributes:
        count: Alerts that were ended.
        next_due_at: When the next alert of the source times out; in the past where a batch was not enough.
    """

    count: int
    next_due_at: datetime | None


async def resolve_stale_alerts(
    session: TenantSession, *, source_id: SourceId, now: datetime, limit: int = _BATCH
) -> Expired:
    """This will end the source's alerts that were not seen for longer than its resolve time-out."""
    keys = await reading.list_expired_keys(session, source_id=source_id, now=now, limit=limit)
    ended = 0
    if keys:
        # Locked after the look: an alert that its sender repeated in between is left alone by the rule.
        world = await load_world(session, source_id=source_id, keys=keys, group_keys=(), now=now)
        ended = len(expire(world, now=now))
        actor = Actor.system("resolve-timeout")
        await store_world(session, world, source=None, source_id=source_id, deliveries={}, now=now)
        await write_notes(session, world.notes, actor=actor, now=now)
        await announce(session, world, actor=actor, source=None, now=now)
    return Expired(count=ended, next_due_at=await reading.find_next_expiry(session, source_id=source_id))
