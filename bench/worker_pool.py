"""Which Celery pool should run our jobs? Journalled no-op jobs a second through threads and through prefork.

    python -m bench.worker_pool --jobs 2000 --rounds 3

Each round starts a relay and one worker (the same concurrency in both pools) on an embedded PostgreSQL and Valkey, lets
them work off the same number of jobs, and prints jobs a second, the memory of the worker's processes, its database
connections, and the ratio to bare Celery no-op tasks on the same broker, pool and concurrency.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import psutil
from redis import Redis

from app.core.jobs import Job, Queue, registry
from app.db.jobs.context import JobContext
from app.db.migrate import ROOT, upgrade
from app.db.roles import bootstrap
from app.db.tenancy import TenantSession
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey

TENANTS = 4


@dataclass(frozen=True, kw_only=True)
class Noop(Job):
    """Does nothing, transactionally."""

    kind: ClassVar[str] = "bench.noop"
    queue: ClassVar[Queue] = Queue.MAINTENANCE


@registry.transactional(Noop)
async def _noop(session: TenantSession, job: Noop, ctx: JobContext) -> None:
    return None


def worker(pool: str, concurrency: int, bare: str) -> None:
    """Run one worker in this process; the parent ends it.

    Args:
        pool: Celery's pool.
        concurrency: Tasks at once.
        bare: ``""`` runs our jobs; ``"default"`` bare tasks with Celery's own way of acknowledging, ``"tuned"`` with ours.
    """
    from celery import signals

    from app.settings import Settings
    from workers.bindings import bind
    from workers.celery_app import make_celery, run_worker
    from workers.queues import RUN_JOB, broker_queue
    from workers.runtime import WorkerRuntime

    settings = Settings()
    app = make_celery(settings)
    if bare:
        app.conf.broker_transport_options["ack_emulation"] = bare == "default"

        @app.task(name=RUN_JOB, ignore_result=True)
        def run_job(tenant_id: str, job_id: str) -> None:
            counter.incr("bench:done")

        counter = Redis.from_url(settings.redis.url.get_secret_value())
    else:
        runtime = WorkerRuntime(settings, queues=["maintenance"], concurrency=concurrency)
        bind(app, runtime)
        if pool == "prefork":
            # Each child has its own loop and engine; the parent has none.
            for signal in (signals.worker_init, signals.worker_shutting_down, signals.worker_shutdown):
                signal.receivers = []
            signals.worker_process_init.connect(lambda **_: runtime.start(), weak=False)
    queue = broker_queue("maintenance", prefix=settings.redis.key_prefix)
    run_worker(app, pool=pool, concurrency=concurrency, queues=[queue])


@contextmanager
def child(*arguments: str, env: dict[str, str]) -> Iterator[psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


async def fill(dsn: str, count: int) -> None:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn)
    for number in range(TENANTS):
        tenant = f"00000000-0000-7000-8000-{number:012d}"
        async with connection.transaction():
            await connection.execute("select set_config('app.current_tenant_id', $1, true)", tenant)
            await connection.execute(
                "insert into jobs (tenant_id, id, kind, queue, payload, max_attempts) select $1::uuid, gen_random_uuid(),"
                " 'bench.noop', 'maintenance', '{}', 3 from generate_series(1, $2)",
                tenant,
                count // TENANTS,
            )
    await connection.close()


async def wait_finished(dsn: str, count: int, process: psutil.Process) -> tuple[float, float, int]:
    """Seconds from the first claim to the last end, peak memory in MiB, most connections."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn)
    memory, connections, deadline = 0.0, 0, time.monotonic() + 120
    while time.monotonic() < deadline:
        family = [process, *process.children(recursive=True)]
        memory = max(memory, sum(member.memory_info().rss for member in family) / 2**20)
        connections = max(
            connections,
            await connection.fetchval("select count(*) from pg_stat_activity where application_name like 'tocsin-%'"),
        )
        if await connection.fetchval("select count(*) from jobs where state = 'succeeded'") >= count:
            seconds = await connection.fetchval(
                "select extract(epoch from max(finished_at) - min(started_at))::float from jobs"
            )
            await connection.close()
            return seconds, memory, connections
        await asyncio.sleep(0.1)
    raise SystemExit("the jobs did not finish in two minutes")


def measure_jobs(pool: str, options: argparse.Namespace, postgres: EmbeddedPostgres, env: dict[str, str]) -> float:
    dsn = postgres.dsn_for("postgres")
    subprocess.run([sys.executable, "-c", f"{_TRUNCATE}('{dsn}')"], check=True, cwd=ROOT)
    asyncio.run(fill(dsn, options.jobs))
    arguments = ("bench.worker_pool", "--worker", pool, "--concurrency", str(options.concurrency))
    with child(*arguments, env=env) as process:
        time.sleep(3)
        with child("workers.relay_main", env=env):
            seconds, memory, connections = asyncio.run(wait_finished(dsn, options.jobs, process))
    rate = float(options.jobs / seconds)
    print(f"  {pool:8} {rate:8.0f} jobs/s   {memory:6.0f} MiB   {connections:3d} connections (relay's included)")
    return rate


_TRUNCATE = (
    "import asyncio, asyncpg\n"
    "async def run(dsn):\n"
    "    c = await asyncpg.connect(dsn); await c.execute('truncate jobs'); await c.close()\n"
    "(lambda dsn: asyncio.run(run(dsn)))"
)


def measure_bare(pool: str, options: argparse.Namespace, env: dict[str, str], *, kind: str = "default") -> float:
    """Bare Celery no-op tasks a second, published beforehand, same broker, pool and concurrency."""
    os.environ.update(env)
    from app.settings import Settings
    from workers.celery_app import make_celery
    from workers.publisher import CeleryPublisher
    from workers.relay import PublishedJob

    settings = Settings()
    redis = Redis.from_url(settings.redis.url.get_secret_value())
    redis.flushall()
    from uuid import uuid4

    jobs = [PublishedJob(uuid4(), uuid4(), "maintenance") for _ in range(options.jobs)]
    CeleryPublisher(make_celery(settings), prefix=settings.redis.key_prefix).publish(jobs)
    arguments = ("bench.worker_pool", "--worker", pool, "--bare", kind, "--concurrency", str(options.concurrency))
    with child(*arguments, env=env):
        while int(redis.get("bench:done") or 0) == 0:
            time.sleep(0.005)
        started = time.monotonic()
        while int(redis.get("bench:done") or 0) < options.jobs:
            time.sleep(0.005)
        rate = float(options.jobs / (time.monotonic() - started))
    print(f"  {pool:8} {rate:8.0f} bare Celery no-op tasks/s ({kind} acknowledgement)")
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--worker", choices=["threads", "prefork"], help=argparse.SUPPRESS)
    parser.add_argument("--bare", choices=["default", "tuned"], default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.concurrency, options.bare)
        return
    rates: dict[str, list[float]] = {"threads": [], "prefork": []}
    ratios: dict[str, list[float]] = {"threads": [], "prefork": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        postgres, valkey = EmbeddedPostgres(folder), EmbeddedValkey(folder)
        postgres.start()
        valkey.start()
        try:
            asyncio.run(_prepare(postgres))
            env = _environment(postgres, valkey)
            for number in range(options.rounds):
                print(f"round {number + 1}")
                for pool, values in rates.items():
                    bare = measure_bare(pool, options, env)
                    values.append(measure_jobs(pool, options, postgres, env))
                    ratios[pool].append(values[-1] / bare)
        finally:
            valkey.stop()
            postgres.destroy()
    for pool, values in rates.items():
        print(
            f"{pool}: median {statistics.median(values):.0f} jobs/s, {statistics.median(ratios[pool]):.2f} of bare Celery"
        )
    pairs = [a / b for a, b in zip(rates["threads"], rates["prefork"], strict=True)]
    print(f"threads / prefork: median {statistics.median(pairs):.2f}, spread {min(pairs):.2f} to {max(pairs):.2f}")


async def _prepare(postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres.dsn_for("postgres", database="postgres"))
    await bootstrap(connection, database="tocsin")
    await connection.close()
    await asyncio.to_thread(upgrade, postgres.url_for("tocsin_owner"))


def _environment(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> dict[str, str]:
    import base64

    return {
        **os.environ,
        "TOCSIN_DATABASE__APP_URL": postgres.url_for("tocsin_app"),
        "TOCSIN_DATABASE__SYSTEM_URL": postgres.url_for("tocsin_system"),
        "TOCSIN_REDIS__URL": valkey.url,
        "TOCSIN_SECURITY__ENCRYPTION_KEYS": f'["bench:{base64.b64encode(os.urandom(32)).decode()}"]',
        "TOCSIN_SECURITY__TOKEN_PEPPER": base64.b64encode(os.urandom(32)).decode(),
        "TOCSIN_JOBS__RELAY_METRICS_PORT": "0",
        "TOCSIN_JOBS__WORKER_METRICS_PORT": "0",
    }


if __name__ == "__main__":
    main()
