"""Journalled jobs a second against bare Celery no-op tasks: same broker, pool and concurrency, in turns.

    python -m bench jobs

One of our jobs is a row that a relay publishes, a worker claims under a fenced lease, runs in a tenant's transaction and
ends in the same commit. A bare task is a message and a counter, once with Celery's default way of acknowledging and once with
the one that our workers set, which only they can afford. ``bench.worker_pool`` compares the pools.
"""

from __future__ import annotations

import argparse

from bench import worker_pool
from bench.figures import Report, Rounds
from bench.rig import Rig

JOBS = 3000
CONCURRENCY = 16


def run(options: argparse.Namespace) -> Report:
    """This will measure and return the ratio."""
    report = Report("jobs")
    size = argparse.Namespace(jobs=max(400, int(JOBS * options.scale)), concurrency=CONCURRENCY)
    rates: list[float] = []
    bares: list[float] = []
    tuned: list[float] = []
    with Rig() as rig:
        for _ in range(options.rounds):
            bares.append(worker_pool.measure_bare("threads", size, rig.environment))
            tuned.append(worker_pool.measure_bare("threads", size, rig.environment, kind="tuned"))
            rates.append(worker_pool.measure_jobs("threads", size, rig.postgres, rig.environment))
    report.add("jobs_per_s", Rounds.of(rates))
    report.add("bare_celery_per_s", Rounds.of(bares))
    report.add("tuned_celery_per_s", Rounds.of(tuned))
    report.add("jobs_vs_tuned_celery", Rounds.of([ours / bare for ours, bare in zip(rates, tuned, strict=True)]))
    ratio = Rounds.of([ours / bare for ours, bare in zip(rates, bares, strict=True)])
    report.add("jobs_vs_celery", ratio, headline=True)
    print(f"  journalled jobs / bare Celery: {ratio:.2f}   at least 0.5, aim 0.7")
    return report
