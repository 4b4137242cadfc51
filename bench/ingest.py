"""Durable signed intake against a bare application that only verifies and parses; one run, one machine, one client.

    python -m bench ingest

Both are one uvicorn process, loaded by one wrk thread with the same requests. Ours also finds the source, checks for
replays, and commits delivery and job under row level security, fsync on, before it answers 202. The last column has
metrics (always on) and one trace in a hundred recorded and exported. Of both kinds there are two processes, which take turns
within a round (ABBA): where a process lies in memory and what the server does in that minute make two that are the same
differ by a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from app.embedded.valkey import free_port
from bench.figures import Report, Rounds, by_round
from bench.rig import SECRET, BenchSource, Rig, wait_for_port
from bench.wrk import Load, events, request_file, wrk

# Who comes after the bare application finds PostgreSQL rested, so the other kind does in the next round.
TURNS = (
    (("bare", 0), ("tocsin", 0), ("traced", 0), ("traced", 1), ("tocsin", 1)),
    (("bare", 0), ("traced", 0), ("tocsin", 0), ("tocsin", 1), ("traced", 1)),
)
REQUESTS_PER_SECOND = 16_000  # more than one process takes, so that no request is sent twice


@contextmanager
def bare(rig: Rig) -> Iterator[int]:
    """This will run the bare application and yield its port."""
    port = free_port()
    command = ("uvicorn", "bench.bare:app", "--lifespan", "off", "--port", str(port), "--no-access-log")
    with rig.running(*command, "--log-level", "warning", extra={"BENCH_SECRET": SECRET}, log="bare"):
        wait_for_port(port)
        yield port


@contextmanager
def span_sink(rig: Rig) -> Iterator[str]:
    """This will run something that takes spans and forgets them, and yield its address."""
    port = free_port()
    with rig.running("bench.span_sink", str(port), log="spans"):
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def processes(rig: Rig) -> Iterator[dict[tuple[str, int], int]]:
    """This will run the processes that take turns and yield their ports."""
    with ExitStack() as running:
        sink = running.enter_context(span_sink(rig))
        traced = {"TOCSIN_TELEMETRY__OTLP_ENDPOINT": sink, "TOCSIN_TELEMETRY__TRACE_SAMPLE_RATIO": "0.01"}
        ports = {("bare", 0): running.enter_context(bare(rig))}
        for process in range(2):
            ports["tocsin", process] = running.enter_context(rig.api())
            ports["traced", process] = running.enter_context(rig.api(extra=traced))
        yield ports


def load(port: int, source: BenchSource, options: argparse.Namespace) -> Load:
    """This will warm the process up and measure it with requests that it has not seen."""
    make = events(source.path, source.secret)
    count = int(REQUESTS_PER_SECOND * (options.seconds + 1))
    with request_file(make, count) as requests:
        measured = wrk(port, requests, connections=options.connections, seconds=options.seconds)
    if measured.failed:
        raise SystemExit(f"{measured.failed} requests were not answered with success; the figure would mean nothing")
    return measured


def run(options: argparse.Namespace) -> Report:
    """This will measure and return the ratios."""
    report = Report("ingest")
    with Rig() as rig:
        source = asyncio.run(one_source(rig))
        rates: dict[str, list[Load]] = {"bare": [], "tocsin": [], "traced": []}
        costs: list[float] = []
        with processes(rig) as ports:
            for turn in TURNS[0]:
                load(ports[turn], source, argparse.Namespace(seconds=2, connections=options.connections))
            # Short loads, and more rounds of them: what disturbs one does not last.
            options = argparse.Namespace(**{**vars(options), "seconds": max(1, round(options.seconds * 0.6))})
            for number in range(options.rounds * 2):
                for name, process in TURNS[number % 2]:
                    before = rig.postgres_cpu_s()
                    rates[name].append(load(ports[name, process], source, options))
                    if name == "tocsin":
                        spent = rig.postgres_cpu_s() - before
                        costs.append(spent * 1e6 / (rates[name][-1].rate * options.seconds))
                print(f"  round {number + 1}: " + "   ".join(f"{n} {v[-1].rate:.0f}/s" for n, v in rates.items()))
    _conclude(report, rates)
    report.add("postgres_cpu_us_per_delivery", Rounds.of(costs))
    print(f"  PostgreSQL's processor time: {Rounds.of(costs):.0f} microseconds a delivery")
    return report


def _conclude(report: Report, rates: dict[str, list[Load]]) -> None:
    for name, loads in rates.items():
        report.add(f"{name}_per_s", Rounds.of([load.rate for load in loads]))
        report.add(f"{name}_p99_ms", Rounds.of([load.p99_ms for load in loads]))
    rounds = len(rates["bare"])
    alone, ours, recorded = (by_round([load.rate for load in rates[name]], rounds) for name in rates)
    ratio = Rounds.of([a / b for a, b in zip(ours, alone, strict=True)])
    traced = Rounds.of([a / b for a, b in zip(recorded, ours, strict=True)])
    report.add("ingest_vs_bare", ratio, headline=True)
    report.add("ingest_traced_vs_untraced", traced, headline=True)
    print(f"  intake / bare: {ratio:.3f}   at least 0.25, aim 0.4")
    print(f"  intake with 1 % of traces / without: {traced:.3f}   at least 0.9")


async def one_source(rig: Rig) -> BenchSource:
    return await rig.source(await rig.tenant("bench"))
