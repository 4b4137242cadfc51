"""host.yaml."""

from __future__ import annotations

from tests.observability_deploy.case import Case, flat, growing

ON_DB = {"instance": "db-1:9100"}


def idle(share: float) -> dict[str, str]:
    return {
        'node_cpu_seconds_total{instance="db-1:9100",cpu="0",mode="idle"}': growing(60 * share),
        'node_cpu_seconds_total{instance="db-1:9100",cpu="0",mode="user"}': growing(60 * (1 - share)),
    }


def memory(free: float) -> dict[str, str]:
    return {
        'node_memory_MemAvailable_bytes{instance="db-1:9100"}': flat(free),
        'node_memory_MemTotal_bytes{instance="db-1:9100"}': flat(100),
    }


def disk(free: float, fstype: str = "ext4") -> dict[str, str]:
    where = f'{{instance="db-1:9100",device="/dev/sda1",fstype="{fstype}",mountpoint="/var"}}'
    return {f"node_filesystem_avail_bytes{where}": flat(free), f"node_filesystem_size_bytes{where}": flat(100)}


VAR = {**ON_DB, "device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/var"}

CASES = [
    Case(
        alert="HostCpuHigh",
        severity="p2",
        fires=idle(0.25),
        summary="db-1:9100 uses 75% of its processors",
        labels=ON_DB,
        silent=[idle(0.4)],
    ),
    Case(
        alert="HostCpuHigh",
        severity="p1",
        fires=idle(0.05),
        summary="db-1:9100 uses 95% of its processors",
        labels=ON_DB,
        silent=[idle(0.25)],
    ),
    Case(
        alert="HostMemoryHigh",
        severity="p2",
        fires=memory(15),
        summary="db-1:9100 uses 85% of its memory",
        labels=ON_DB,
        silent=[memory(25)],
    ),
    Case(
        alert="HostMemoryHigh",
        severity="p1",
        fires=memory(2),
        summary="db-1:9100 uses 98% of its memory",
        labels=ON_DB,
        silent=[memory(15)],
    ),
    Case(
        alert="HostDiskFilling",
        severity="p2",
        fires=disk(25),
        summary="/var of db-1:9100 is 75% full",
        labels=VAR,
        silent=[disk(40), disk(5, "tmpfs")],
    ),
    Case(
        alert="HostDiskFilling",
        severity="p1",
        fires=disk(5),
        summary="/var of db-1:9100 is 95% full",
        labels=VAR,
        silent=[disk(25)],
    ),
]
