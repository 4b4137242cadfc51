"""``python -m bench [NAME ...]``: the benchmarks, side by side in one run; figures go to ``bench/results/``."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time

NAMES = ("ingest", "rivals", "jobs", "latency", "storm", "fairness", "sizes", "footprint", "sources")

KEPT = ("rounds", "seconds", "connections", "scale")


def main() -> None:
    """This will run the named benchmarks, all by default, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="rounds of each measurement; ingest takes twice as many, shorter (default %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        help="length of each load; three fifths of it for ingest (default %(default)s)",
    )
    parser.add_argument("--connections", type=int, default=256, help="connections of the client (default %(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes to run (default %(default)s)")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    # A benchmark that is ended takes its servers along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    for name in options.names or NAMES:
        started = time.monotonic()
        print(f"{name}", flush=True)
        report = importlib.import_module(f"bench.{name}").run(options)
        if not options.no_save:
            report.save({name: value for name, value in vars(options).items() if name in KEPT})
        print(f"  took {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
