"""What the pipeline leaves behind: precedents for later tickets, a log line, spans, counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from app.core.actor import Actor, ActorKind
from app.core.ids import IncidentId
from app.db.tenancy import tenant_session
from app.enhancement.jobs import IndexIncident, LearnResolution
from app.incidents.service import add_note, resolve_incident
from app.observability import tracing
from app.observability.metrics import REGISTRY
from tests.enhancement.world import ENGINEER, World
from workers.runner import Outcome


async def test_how_an_incident_ended_is_learnt_from_its_ticket(world: World) -> None:
    ticket = await world.receive()
    await world.run_until_settled()
    found = await world.enhancement(ticket)
    assert found.incident_id is not None
    ticket.status, ticket.resolution = "Closed", "Replaced the broken fan of pay01."
    async with tenant_session(world.database, world.tenant_id) as session:
        await resolve_incident(
            session, incident_id=IncidentId(found.incident_id), actor=ENGINEER, reason="fixed", now=world.now()
        )
    assert await world.run(LearnResolution) == [Outcome.SUCCEEDED]
    later = await world.receive()
    await world.run_until_settled()
    assert "Replaced the broken fan of pay01." in world.desk.standin.notes_of(later.id)[0]


async def test_an_incident_without_a_ticket_becomes_a_precedent_with_what_people_wrote(world: World) -> None:
    incident_id = await world.receive_alert(title="Payment worker OOM on pay01", labels={"host": "pay01"})
    assert await world.run(IndexIncident) == [Outcome.SUCCEEDED]
    person = Actor(kind=ActorKind.TOKEN, id="t", name="Grace")
    async with tenant_session(world.database, world.tenant_id) as session:
        await resolve_incident(
            session,
            incident_id=incident_id,
            actor=person,
            reason="Rolled the worker back to release 41.",
            now=world.now(),
        )
    assert await world.run(LearnResolution) == [Outcome.SUCCEEDED]
    ticket = await world.receive()
    await world.run_until_settled()
    (note,) = world.desk.standin.notes_of(ticket.id)
    assert "Rolled the worker back to release 41." in note
    assert f"Incident {incident_id}" in note


async def test_the_end_of_a_long_story_is_learnt_not_its_beginning(world: World) -> None:
    incident_id = await world.receive_alert(title="Payment worker OOM on pay01", labels={"host": "pay01"})
    person = Actor(kind=ActorKind.TOKEN, id="t", name="Grace")
    async with tenant_session(world.database, world.tenant_id) as session:
        for number in range(201):
            said = f"Step {number}: the heap still grows."
            await add_note(session, incident_id=incident_id, actor=person, text=said, reason="", now=world.now())
        reason = "Rolled the worker back to release 41."
        await resolve_incident(session, incident_id=incident_id, actor=person, reason=reason, now=world.now())
    assert await world.run(LearnResolution) == [Outcome.SUCCEEDED]
    async with tenant_session(world.database, world.tenant_id) as session:
        learnt = await session.scalar(text("select resolution from case_documents where kind = 'incident'"))
    assert learnt.startswith("Rolled the worker back to release 41.\nStep 200: ")


async def test_each_enhancement_has_one_log_line_its_spans_and_its_counts(
    world: World, spans: InMemorySpanExporter
) -> None:
    before = REGISTRY.get_sample_value("tocsin_enhancement_outcomes_total", {"outcome": "published", "reason": ""}) or 0
    ticket = await world.receive()
    with capture_logs(processors=[merge_contextvars]) as logs:
        await world.run_until_settled()
    lines = [line for line in logs if line["event"].startswith("enhancement.")]
    assert [(line["event"], line["ticket_id"], line["outcome"]) for line in lines] == [
        ("enhancement.finished", ticket.id, "published")
    ]
    names = [span.name for span in spans.get_finished_spans()]
    for stage in ("fetch", "gather", "compose", "synthesise", "publish"):
        assert f"enhancement.{stage}" in names
    traces = {span.context.trace_id for span in spans.get_finished_spans() if span.name.startswith("enhancement.")}
    assert len(traces) == 1
    after = REGISTRY.get_sample_value("tocsin_enhancement_outcomes_total", {"outcome": "published", "reason": ""})
    assert after == before + 1


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Every span of this test, kept in memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing._tracing.use(provider)
    yield exporter
    tracing._tracing.use(None)
