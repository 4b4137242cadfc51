"""Accepted alerts a second beside two servers that many teams run; one client, one machine, in turns.

    python -m bench rivals

Alerta (PyPI, gunicorn with one worker, unauthenticated) stores each alert in the same PostgreSQL; beside it ours is one process.
Alertmanager (Debian) keeps alerts in memory and uses all cores; beside it ours has a process for each core, and the ratio of one
process is printed too. Ours verifies a signature and commits before it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import orjson

from app.embedded.valkey import free_port
from bench.figures import Report, Rounds, by_round
from bench.rig import BenchSource, Rig, wait_for_port
from bench.wrk import Load, events, request_file, signed_request, wrk

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tocsin-bench"
ALERTA = ("alerta-server", "gunicorn", "psycopg2-binary", "setuptools<81")
BATCH = 64

Maker = Callable[[int], bytes]


def run(options: argparse.Namespace) -> Report:
    """This will measure all, in turns, and return the ratios."""
    report = Report("rivals")
    with Rig() as rig:
        generic, alertmanager = asyncio.run(_sources(rig))
        cores = os.cpu_count() or 1
        with (
            rig.api() as ours,
            rig.api(processes=cores) as on_all_cores,
            alerta(rig) as theirs,
            debian_alertmanager() as memory,
        ):
            subjects: dict[str, tuple[int, Maker, int]] = {
                "tocsin": (ours, events(generic.path, generic.secret), 12_000),
                "tocsin_cores": (on_all_cores, events(generic.path, generic.secret), 16_000),
                "alerta": (theirs, _alerta_alert, 600),
                "alertmanager": (memory, _alertmanager_post(1), 20_000),
                "tocsin_64": (ours, _webhooks(alertmanager), 1_500),
                "alertmanager_64": (memory, _alertmanager_post(BATCH), 1_500),
            }
            loads = _measure(subjects, options)
    _conclude(report, loads)
    return report


# Within a round in the order ABCBA, so that a slow minute falls on all.
TURNS = (
    "tocsin_cores",
    "alertmanager",
    "tocsin",
    "alertmanager",
    "tocsin_cores",
    "alerta",
    "tocsin_64",
    "alertmanager_64",
)


def _measure(subjects: dict[str, tuple[int, Maker, int]], options: argparse.Namespace) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in subjects}
    serials = itertools.count(step=1_000_000)  # so that no request is sent twice
    for name, subject in subjects.items():
        _load(name, subject, next(serials), connections=options.connections, seconds=1)
    for number in range(options.rounds):
        for name in TURNS:
            first = next(serials)
            loads[name].append(
                _load(name, subjects[name], first, connections=options.connections, seconds=options.seconds)
            )
        print(
            f"  round {number + 1}: "
            + "   ".join(f"{n} {v[-1].rate:.0f}/s ({v[-1].failed} failed)" for n, v in loads.items())
        )
    return loads


def _load(name: str, subject: tuple[int, Maker, int], first: int, *, connections: int, seconds: float) -> Load:
    port, make, per_second = subject
    with request_file(lambda number: make(first + number), int(per_second * seconds * 1.3)) as requests:
        return wrk(port, requests, connections=16 if name == "alerta" else connections, seconds=seconds)


def _conclude(report: Report, loads: dict[str, list[Load]]) -> None:
    rounds = len(loads["alerta"])
    rates = {name: by_round([load.rate for load in measured], rounds) for name, measured in loads.items()}

    def ratio(ours: str, theirs: str) -> Rounds:
        return Rounds.of([a / b for a, b in zip(rates[ours], rates[theirs], strict=True)])

    for name, measured in loads.items():
        report.add(f"{name}_requests_per_s", Rounds.of([load.rate for load in measured]))
    for key, pair, aim in (
        ("ingest_vs_alerta", ("tocsin", "alerta"), "at least 40"),
        ("ingest_vs_alertmanager", ("tocsin_cores", "alertmanager"), "at least 0.4, aim 0.7"),
        ("ingest_one_process_vs_alertmanager", ("tocsin", "alertmanager"), "ours on one core, theirs on all"),
        ("ingest_vs_alertmanager_64", ("tocsin_64", "alertmanager_64"), "64 alerts a request"),
    ):
        report.add(key, ratio(*pair), headline=True)
        print(f"  {key}: {ratio(*pair):.2f}   {aim}")


async def _sources(rig: Rig) -> tuple[BenchSource, BenchSource]:
    tenant = await rig.tenant("bench")
    return await rig.source(tenant), await rig.source(tenant, kind="alertmanager", name="alertmanager")


@contextmanager
def alerta(rig: Rig) -> Iterator[int]:
    """This will install Alerta into a cache of its own, run it on the rig's PostgreSQL and yield its port."""
    folder = CACHE / "alerta"
    if not (folder / "bin" / "gunicorn").exists():
        print("  installing alerta-server into a cache of its own")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", *ALERTA], check=True)
    asyncio.run(_make_database(rig))
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "alertad.conf"
        dsn = rig.postgres.dsn_for("postgres", database="alerta")
        config.write_text(f"DATABASE_URL = {dsn!r}\nAUTH_REQUIRED = False\nPLUGINS = []\nSECRET_KEY = 'bench'\n")
        command: list[str | Path] = [folder / "bin" / "gunicorn", "-b", f"127.0.0.1:{port}"]
        command += ["-w", "1", "alerta:create_app()"]
        with _process(command, {"ALERTA_SVR_CONF_FILE": str(config)}, Path(name) / "log", port):
            yield port


@contextmanager
def debian_alertmanager() -> Iterator[int]:
    """This will run Debian's Alertmanager with nobody to notify and yield its port."""
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        raise SystemExit("Alertmanager is missing; on Debian and Ubuntu: apt-get install prometheus-alertmanager")
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "alertmanager.yml"
        config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        command: list[str | Path] = [
            program,
            f"--config.file={config}",
            f"--storage.path={name}/data",
            "--cluster.listen-address=",
        ]
        with _process([*command, f"--web.listen-address=127.0.0.1:{port}"], {}, Path(name) / "log", port):
            yield port


@contextmanager
def _process(command: Sequence[str | Path], extra: dict[str, str], log: Path, port: int) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **extra}, stdout=output, stderr=output)
    try:
        wait_for_port(port)
        yield
    finally:
        process.terminate()
        process.wait(15)


async def _make_database(rig: Rig) -> None:
    connection = await asyncpg.connect(rig.postgres.dsn_for("postgres", database="postgres"))
    await connection.execute("create database alerta")
    await connection.close()


def _post(path: str, value: object) -> bytes:
    body = orjson.dumps(value)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _alerta_alert(number: int) -> bytes:
    alert = {"resource": f"host-{number}", "event": "QueueDeep", "environment": "Production", "severity": "major"}
    return _post("/alert", {**alert, "service": ["bench"], "text": "x" * 600})


def _alertmanager_post(size: int) -> Maker:
    def make(number: int) -> bytes:
        return _post("/api/v2/alerts", [_alert(f"{size}-{number}-{index}", "startsAt") for index in range(size)])

    return make


def _alert(name: str, start: str) -> dict[str, object]:
    labels = {"alertname": "QueueDeep", "instance": name, "severity": "critical"}
    return {"labels": labels, "annotations": {"summary": "x" * 100}, start: datetime.now(UTC).isoformat()}


def _webhooks(source: BenchSource) -> Maker:
    run, stamp = os.urandom(4).hex(), int(datetime.now(UTC).timestamp())

    def make(number: int) -> bytes:
        alerts = [{**_alert(f"{run}-{number}-{index}", "startsAt"), "status": "firing"} for index in range(BATCH)]
        shared = {"version": "4", "status": "firing", "receiver": "bench", "groupLabels": {}, "commonLabels": {}}
        body = orjson.dumps({**shared, "commonAnnotations": {}, "externalURL": "", "groupKey": run, "alerts": alerts})
        return signed_request(source.path, source.secret, body, f"msg_{run}_{number}", stamp=stamp)

    return make
