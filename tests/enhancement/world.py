"""A tenant with a desk, a past and a ticket, as shared by the pipeline tests: what a pipeline test starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.core.actor import Actor
from app.core.clock import Clock
from app.core.ids import DeliveryId, IncidentId, SourceId, TenantId, new_id
from app.core.jobs import Job
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.embedded.servicedesk_standin import StandInTicket
from app.enhancement.contract import DeskTicket
from app.enhancement.jobs import EnhanceTicket
from app.enhancement.schemas import EnhancementView
from app.enhancement.service import (
    create_desk,
    create_knowledge_entry,
    find_enhancement_for_ticket,
    record_ticket,
)
from app.incidents.schemas import AlertEvent, AlertStatus, SourceFacts, TicketRef
from app.incidents.service import apply_alerts
from app.net.keyring import KeyRing
from app.settings import Settings
from app.settings.enhancement import EnhancementSettings, LlmSettings
from tests.fixtures.chat import ChatServer
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import make_runner
from tests.fixtures.servicedesk import ServedDesk
from workers.runner import Outcome

ENGINEER = Actor.system("test")
SUBJECT = "Checkout returns 502"
DESCRIPTION = "<p>Customers see <b>HTTP 502</b> when paying.</p><p>pay01 says: ERROR payment worker 4711 OOM killed</p>"
RESOLUTION = "Raised the memory limit of the payment worker to 2 GB and restarted it."


@dataclass(frozen=True)
class World:
    """Everything that a test says about one tenant's tickets."""

    resources: Resources
    tenant_id: TenantId
    desk: ServedDesk
    source_id: SourceId

    @property
    def database(self) -> Database:
        return self.resources.get(Database)

    async def add_desk(self, **differs: Any) -> UUID:
        """This will register the stand-in as the tenant's desk."""
        values: dict[str, Any] = {
            "kind": "servicedesk",
            "name": "desk",
            "base_url": self.desk.url,
            "secret": self.desk.key,
        }
        async with tenant_session(self.database, self.tenant_id) as session:
            view = await create_desk(
                session, keyring=self.resources.get(KeyRing), actor=ENGINEER, now=self.now(), **(values | differs)
            )
        return view.id

    async def add_past(self, **differs: Any) -> None:
        """This will store a solved ticket of the same fault."""
        values: dict[str, Any] = {
            "external_id": "77",
            "title": "Payments fail with 502",
            "body": "ERROR payment worker 17 OOM killed on pay01",
            "resolution": RESOLUTION,
            "status": "Closed",
            "closed": True,
            "people": (),
            "url": "",
        }
        async with tenant_session(self.database, self.tenant_id) as session:
            await record_ticket(session, system="servicedesk", ticket=DeskTicket(**(values | differs)), now=self.now())

    async def add_knowledge(self, **differs: Any) -> None:
        """This will add an entry about the same part."""
        values: dict[str, Any] = {
            "title": "Payment worker",
            "body": "The payment worker on pay01 needs 2 GB of memory. A 502 at checkout means that it is down.",
            "url": "https://wiki.example.com/payment",
        }
        async with tenant_session(self.database, self.tenant_id) as session:
            await create_knowledge_entry(session, actor=ENGINEER, now=self.now(), **(values | differs))

    async def receive(
        self, ticket: StandInTicket | None = None, *, times: int = 1, system: str = "servicedesk"
    ) -> StandInTicket:
        """This will create the ticket at the desk and apply its webhook's alert, as ingest does, ``times`` times."""
        known = ticket or self.desk.standin.add_ticket(subject=SUBJECT, description=DESCRIPTION)
        reference = TicketRef(system=system, external_id=known.id)
        event = AlertEvent(
            dedup_key=f"ticket-{known.id}",
            status=AlertStatus.FIRING,
            title=known.subject,
            description=known.description,
            ticket=reference,
        )
        for seq in range(times):
            async with tenant_session(self.database, self.tenant_id) as session:
                await apply_alerts(
                    session,
                    source=SourceFacts(id=self.source_id, kind="servicedesk", name="desk hook"),
                    delivery_id=DeliveryId(new_id()),
                    received_at=self.now(),
                    seq=seq,
                    events=[event],
                    now=self.now(),
                )
        return known

    async def receive_alert(self, *, title: str, labels: dict[str, str]) -> IncidentId:
        """This will apply one alert that no ticket stands behind, and return its incident."""
        async with tenant_session(self.database, self.tenant_id) as session:
            (applied,) = await apply_alerts(
                session,
                source=SourceFacts(id=self.source_id, kind="generic", name="monitor"),
                delivery_id=DeliveryId(new_id()),
                received_at=self.now(),
                seq=0,
                events=[AlertEvent(dedup_key=title, status=AlertStatus.FIRING, title=title, labels=labels)],
                now=self.now(),
            )
        assert applied.incident_id is not None
        return applied.incident_id

    async def run(self, kind: type[Job] = EnhanceTicket) -> list[Outcome]:
        """This will run this tenant's jobs of one kind once each, whatever their due time, as a worker does."""
        async with tenant_session(self.database, self.tenant_id) as session:
            jobs = await session.execute(
                text(
                    "update jobs set state = 'published', published_at = now(), run_at = now()"
                    " where kind = :kind and state = 'scheduled' returning id"
                ),
                {"kind": kind.kind},
            )
            ids = list(jobs.scalars())
        runner = make_runner(self.resources)
        return [await runner.run(self.tenant_id, job_id) for job_id in ids]

    async def run_until_settled(self, *, runs: int = 12) -> Sequence[Outcome]:
        """This will run until nothing is open; a run that ends *later* or *retried* is run again at once."""
        outcomes: list[Outcome] = []
        for _ in range(runs):
            ran = await self.run()
            outcomes += ran
            if not any(outcome in {Outcome.LATER, Outcome.RETRIED} for outcome in ran):
                return outcomes
        return outcomes

    async def enhancement(self, ticket: StandInTicket) -> EnhancementView:
        """This will return the ticket's enhancement as the API shows it."""
        async with tenant_session(self.database, self.tenant_id) as session:
            found = await find_enhancement_for_ticket(session, external_id=ticket.id)
        assert found is not None
        return found

    def now(self) -> Any:
        return self.resources.get(Clock).now()  # type: ignore[type-abstract]


async def make_world(resources: Resources, desk: ServedDesk) -> World:
    """This will make a tenant for the stand-in; it has no desk yet."""
    return World(resources, await make_tenant(resources.get(Database)), desk, SourceId(new_id()))


async def make_furnished_world(resources: Resources, desk: ServedDesk) -> World:
    """This will make a tenant with a desk, a solved ticket and an entry of documentation, and short times."""
    with_settings(resources)
    world = await make_world(resources, desk)
    await world.add_desk()
    await world.add_past()
    await world.add_knowledge()
    return world


def with_settings(resources: Resources, **differs: Any) -> EnhancementSettings:
    """This will change the enhancement section for one test: short times, and what the test names."""
    section = EnhancementSettings(**({"desk_timeout_s": 1.0, "context_timeout_s": 3.0} | differs))
    settings = resources.get(Settings)
    jobs = settings.jobs.model_copy(update={"lease_slack_s": 0.0})
    resources.provide(Settings, settings.model_copy(update={"enhancement": section, "jobs": jobs}))
    return section


def with_model(resources: Resources, chat: ChatServer, **differs: Any) -> None:
    """This will configure the scripted server as the model."""
    values: dict[str, Any] = {
        "base_url": chat.url,
        "api_key": "model-key",
        "model": "first",
        "first_timeout_s": 3.0,
        "deadline_s": 5.0,
        "input_price_per_million": 1.0,
        "output_price_per_million": 2.0,
    }
    with_settings(resources, llm=LlmSettings(**(values | differs)))
