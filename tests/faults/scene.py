"""What a scenario on the rig is written with: a tenant, its sender, its targets, and the verdict at the end."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from app.core.clock import SystemClock
from app.core.ids import new_id
from app.embedded.servicedesk_standin import ServiceDeskStandIn
from tests.faults import sender as sending
from tests.faults.checker import judge
from tests.faults.evidence import Evidence, collect
from tests.faults.measures import disk_mb, take_samples
from tests.faults.rig import FaultStack, Rig
from tests.faults.sender import Sender, Sent, headers_of
from tests.faults.sink import Sink
from tests.faults.wards import Ward, close_wards, make_ward
from tests.fixtures.servicedesk import TECHNICIAN_KEY, serve
from tests.fixtures.wait import wait_until

OPEN = "state in ('scheduled', 'published', 'running')"


@dataclass
class Scene:
    """One tenant on the rig.

    Attributes:
        client: For single posts; the API's address is added.
        idle: A second tenant that does nothing, in which nothing of the first one may be found.
        disk_before_mb: The database's size at the beginning.
    """

    rig: Rig
    ward: Ward
    sink: Sink
    sink_url: str
    standin: ServiceDeskStandIn
    desk_url: str
    sender: Sender
    client: httpx.AsyncClient
    idle: Ward
    disk_before_mb: float
    _made: int = field(default=0)

    @property
    def stack(self) -> FaultStack:
        return self.rig.stack

    def alert(self, key: str = "a", status: str = "firing", *, minute: int | None = None, **labels: str) -> Sent:
        """This will make an alert of the tenant, each a minute younger than the one before."""
        self._made += 1
        at = SystemClock().now() - timedelta(minutes=240 - (self._made if minute is None else minute))
        name = f"{self.ward.tag}-{key}"
        return sending.alert(self.ward.monitor, f"{name}-{self._made}", name, status=status, at=at, **labels)

    async def post(self, one: Sent, url: str | None = None) -> httpx.Response:
        """This will post once, log it, and return the answer.

        Raises:
            httpx.HTTPError: The other side went away.
        """
        if one not in self.sender.log.sent:
            self.sender.log.sent.append(one)
        one.attempts += 1
        answer = await self.client.post(
            (url or self.stack.api_url) + one.endpoint.url_path, content=one.body, headers=headers_of(one)
        )
        if answer.status_code == 202:
            one.receipts.add(answer.json()["receipt_id"])
        return answer

    async def send(self, *deliveries: Sent, over_s: float = 0.0) -> None:
        """This will send until all are acknowledged; some are sent twice."""
        await self.sender.send_all(list(deliveries), over_s=over_s)
        assert all(one.is_acknowledged for one in deliveries), self.sender.log.answers

    async def count(self, table: str, where: str = "true") -> int:
        return int(await self.ward.value(f"select count(*) from {table} where tenant_id = $1 and {where}"))

    async def until(self, table: str, where: str, *, least: int = 1, timeout_s: float = 15.0) -> None:
        """This will wait until so many rows of the tenant are as said."""

        async def there() -> bool:
            return await self.count(table, where) >= least

        await wait_until(there, timeout_s=timeout_s, every_s=0.05, what=f"{table} where {where}\n{self.logs()}")

    async def arm(self, process: str, failpoints: str, **environment: str) -> None:
        """This will start the process anew with failpoints armed."""
        self.stack.restart(process, failpoints=failpoints, **environment)
        if process.startswith("api"):
            await self.stack.answering(process)

    async def bring_back(self, process: str) -> None:
        """This will start the process as it should be."""
        self.stack.restart(process)
        if process == "api":
            await self.stack.ready()

    async def let_leases_run_out(self) -> None:
        """This will move what a dead worker held into the past, as if its lease and its calls' deadlines were over."""
        await self.ward.execute(
            "update jobs set lease_until = clock_timestamp() - interval '1 s' where tenant_id = $1 and state = 'running'"
        )
        await self.ward.execute(
            "update effects set not_after = clock_timestamp() - interval '1 min' where tenant_id = $1 and state = 'intent'"
        )
        # A run that waits for them was told to look again at the old time.
        await self.ward.execute(
            "update jobs set run_at = clock_timestamp() where tenant_id = $1 and state = 'scheduled'"
            " and error like '%under way%'"
        )

    async def rest(self, timeout_s: float = 40.0, *, also: Sequence[Ward] = ()) -> None:
        """This will wait until nothing is left to do."""

        async def rested() -> bool:
            return sum([await ward.open_work() for ward in (self.ward, *also)]) == 0

        await wait_until(rested, timeout_s=timeout_s, every_s=0.1, what=f"all work is done\n{self.logs()}")

    async def evidence(self, *, also: Sequence[Ward] = (), explained: tuple[str, ...] = ()) -> Evidence:
        """This will collect everything of the tenant, the idle one and those named, and measure."""
        async with self.rig.superuser() as superuser:
            return await collect(
                superuser,
                self.rig.database,
                [ward.watched for ward in (self.ward, self.idle, *also)],
                log=self.sender.log,
                calls=self.sink.calls,
                notes={number: self.standin.notes_of(number) for number in self.standin.tickets},
                samples=await take_samples(self.rig, disk_before_mb=self.disk_before_mb),
                explained=explained,
            )

    async def verdict(
        self, timeout_s: float = 40.0, *, also: Sequence[Ward] = (), explained: tuple[str, ...] = ()
    ) -> Evidence:
        """This will wait for rest and insist that every invariant holds.

        Args:
            timeout_s: How long to wait for rest.
            also: Further tenants of the scene.
            explained: Parts of errors with which the scene meant jobs to end.
        """
        await self.rest(timeout_s, also=also)
        evidence = await self.evidence(also=also, explained=explained)
        assert judge(evidence) == []
        return evidence

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{self.stack.tail(name)[-1500:]}" for name in ("api", "relay", "worker"))

    async def outcome_of(self, service: Sent) -> dict[str, Any]:
        """This will return the run that the service's alert started, as the API shows it."""
        (run,) = (await self.ward.get("/v1/runs"))["items"]
        return run  # type: ignore[no-any-return]


@asynccontextmanager
async def open_scene(rig: Rig) -> AsyncIterator[Scene]:
    """This will make a tenant and its surroundings."""
    sink, standin = Sink(random.Random(1)), ServiceDeskStandIn(technician_key=TECHNICIAN_KEY)
    before = await disk_mb(rig)
    ward, idle = [await make_ward(rig, f"{letter}{new_id().hex[-10:]}") for letter in "si"]
    sender = Sender([rig.stack.api_url], random.Random(2))
    async with (
        serve(sink.app) as sink_url,
        serve(standin.app) as desk_url,
        httpx.AsyncClient(timeout=5) as client,
    ):
        yield Scene(rig, ward, sink, sink_url, standin, desk_url, sender, client, idle, before)
    await close_wards([ward, idle])
