"""Applying what sources say: a notification's alerts in one go, whatever their number."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.core.actor import Actor, ActorKind
from app.core.breath import breathe
from app.core.events import emit
from app.core.ids import AlertId, DeliveryId, IncidentId, new_id
from app.db.tenancy import TenantSession
from app.incidents.events import AlertsExpected
from app.incidents.rules.correlate import REOPEN_WINDOW, Correlation
from app.incidents.rules.signals import Signal
from app.incidents.rules.states import AlertOutcome, AlertStatus
from app.incidents.rules.world import Verdict, World
from app.incidents.schemas import AlertEvent, AppliedAlert, SourceFacts
from app.incidents.service.announce import announce, write_notes
from app.incidents.service.normalise import Delivered, to_signals
from app.incidents.service.storms import COLLAPSED, announce_storms
from app.incidents.service.worlds import load_world, store_world
from app.observability.metrics import counter

ALERT_EVENTS = counter("tocsin_alert_events_total", "Alert events applied, by outcome.", ("outcome",))


async def apply_alerts(
    session: TenantSession,
    *,
    source: SourceFacts,
    delivery_id: DeliveryId,
    received_at: datetime,
    seq: int,
    events: Sequence[AlertEvent],
    now: datetime,
    reopen_window: timedelta = REOPEN_WINDOW,
) -> list[AppliedAlert]:
    """This will apply one delivery's alert events and return what became of each, in the order given.

    Args:
        session: A tenant transaction; it should end soon after, as the touched keys and incidents stay locked.
        source: What this domain needs to know of the source.
        delivery_id: Kept with the alerts as where they were heard of first and last.
        received_at: Stands for the event time where the sender gave none that can be used.
        seq: The delivery's place in the order of arrival; decides between events of the same time.
        events: In the order of the notification.
        now: Stamped on what changes.
        reopen_window: How long after its resolve a new firing still reopens an incident.
    """
    delivered = Delivered(delivery_id=delivery_id, received_at=received_at, seq=seq, events=events)
    applied = await apply_deliveries(
        session, source=source, deliveries=[delivered], now=now, reopen_window=reopen_window
    )
    return applied[0]


async def apply_deliveries(
    session: TenantSession,
    *,
    source: SourceFacts,
    deliveries: Sequence[Delivered],
    now: datetime,
    reopen_window: timedelta = REOPEN_WINDOW,
) -> list[list[AppliedAlert]]:
    """This will apply several deliveries of one source at once: the same statements as for one.

    A transaction that applies more than once can meet another one that does so in a different order and be chosen as
    the victim of a deadlock; one call with everything cannot.
    """
    signals = await _read(source, deliveries)
    flat = [signal for batch in signals for signal in batch]
    if not flat:
        return [[] for _ in deliveries]
    firing = [signal for signal in flat if signal.status is AlertStatus.FIRING]
    world = await load_world(
        session,
        source_id=source.id,
        keys=(signal.key for signal in flat),
        group_keys=(signal.group_key for signal in firing),
        now=now,
        origins=(signal.origin for signal in flat),
        storm=source.storm,
    )
    expires_at = now + timedelta(seconds=source.resolve_timeout_s) if source.resolve_timeout_s else None
    rule = Correlation(
        source_name=source.name, new_id=new_id, expires_at=expires_at, reopen_window=reopen_window, storm=source.storm
    )
    verdicts = {}
    for position, verdict in rule.apply_each(world, flat):
        verdicts[position] = verdict
        await breathe()
    spoke_of = {signal.key: deliveries[i].delivery_id for i, batch in enumerate(signals) for signal in batch}
    await store_world(session, world, source=source, source_id=source.id, deliveries=spoke_of, now=now)
    await _tell(session, world, source, now=now)
    if firing and expires_at is not None:
        await _expect(session, source, expires_at)
    results = iter([_applied(verdicts[position], world) for position in range(len(flat))])
    return [list(itertools.islice(results, len(batch))) for batch in signals]


async def _tell(session: TenantSession, world: World, source: SourceFacts, *, now: datetime) -> None:
    """Write the timelines and state the facts that others act on."""
    actor = Actor(kind=ActorKind.SENDER, id=str(source.id), name=source.name)
    await write_notes(session, world.notes, actor=actor, now=now)
    await announce(session, world, actor=actor, source=source, now=now)
    await announce_storms(session, world, source_id=source.id, rule=source.storm, actor=actor, now=now)


async def _read(source: SourceFacts, deliveries: Sequence[Delivered]) -> list[list[Signal]]:
    signals = []
    for delivered in deliveries:
        signals.append(to_signals(source, delivered))
        await breathe()
    return signals


async def _expect(session: TenantSession, source: SourceFacts, due_at: datetime) -> None:
    await emit(session, AlertsExpected(tenant_id=session.tenant_id, source_id=source.id, due_at=due_at))


def _applied(verdict: Verdict, world: World) -> AppliedAlert:
    ALERT_EVENTS.labels(outcome=verdict.outcome.value).inc()
    reason = verdict.reason
    if verdict.outcome is AlertOutcome.COLLAPSED and verdict.incident_id is not None:
        COLLAPSED.inc()
        # The number of a new incident is known only now that it is stored.
        reason = f"collapsed into storm incident {world.incidents[verdict.incident_id].number}: {reason}"
    return AppliedAlert(
        alert_id=AlertId(verdict.alert_id) if verdict.alert_id else None,
        incident_id=IncidentId(verdict.incident_id) if verdict.incident_id else None,
        outcome=verdict.outcome,
        reason=reason,
    )
