"""How many beats a tenant may send."""

from __future__ import annotations

from typing import cast

import pytest

from app.core.ids import TenantId, new_id
from app.ingest.admission import Admission
from app.ingest.heartbeats.gate import BeatGate
from app.ingest.known_sources import KnownSource
from app.ingest.rules.limits import Limited
from app.settings.limits import LimitSettings


class Processes:
    """A clock that stands still until it is moved, and among how many processes rates are divided."""

    now = 1000.0
    shares = 1

    def ticks(self) -> float:
        return self.now


class OfTenant:
    """A source, as far as the gate looks at it."""

    def __init__(self) -> None:
        self.tenant_id = TenantId(new_id())


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def gate(processes: Processes) -> BeatGate:
    settings = LimitSettings(tenant_deliveries_per_s=4, burst_s=1.0, tenants_in_memory=2)
    return BeatGate(settings, cast("Admission", processes))


def source() -> KnownSource:
    return cast("KnownSource", OfTenant())


def beats_taken(gate: BeatGate, of: KnownSource, tries: int) -> int:
    taken = 0
    for _ in range(tries):
        if gate.refusal(of) is None:
            gate.took(of, 100_000)
            taken += 1
    return taken


def test_a_tenant_beats_at_its_rate_whatever_its_beats_weigh(gate: BeatGate, processes: Processes) -> None:
    one, other = source(), source()
    assert beats_taken(gate, one, 10) == 4
    assert gate.refusal(one) is Limited.RATE
    assert beats_taken(gate, other, 10) == 4, "the other's beats are its own"
    processes.now += 0.5
    assert beats_taken(gate, one, 10) == 2


def test_processes_share_the_rate_as_their_number_changes(gate: BeatGate, processes: Processes) -> None:
    one = source()
    assert beats_taken(gate, one, 10) == 4
    processes.shares = 2
    processes.now += 10
    assert beats_taken(gate, one, 10) == 2


def test_tenants_are_kept_in_bounded_number(gate: BeatGate) -> None:
    first, *others = [source() for _ in range(3)]
    assert beats_taken(gate, first, 10) == 4
    for one in others:
        assert beats_taken(gate, one, 1) == 1
    assert gate.refusal(first) is None, "whoever was met first was forgotten first"
    assert len(gate._buckets) == 2
