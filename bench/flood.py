"""A sender that sends at a fixed rate whatever it is answered, in a process of its own: it must not share a loop with a probe.

python -m bench.flood --port N --path /in/... --secret S --rate 500 --seconds 20
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from datetime import UTC, datetime

from bench.rig import BenchSource
from bench.sender import Connection
from bench.storm import webhook

CONNECTIONS = 32


def main() -> None:
    """This will send, and print how often which status came back."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--alerts", type=int, default=5, help="alerts in a delivery")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(_flood(options))), flush=True)


async def _flood(options: argparse.Namespace) -> dict[str, int]:
    source = BenchSource(None, options.path, options.secret)  # type: ignore[arg-type]
    statuses: Counter[str] = Counter()
    started = time.monotonic()

    async def work(number: int) -> None:
        gap = CONNECTIONS / options.rate
        due = started + gap * number / CONNECTIONS
        async with Connection(options.port) as connection:
            while due < started + options.seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                run = os.urandom(5).hex()
                names = [f"{run}-{index}" for index in range(options.alerts)]
                request = webhook(source, names, status="firing", starts=datetime.now(UTC), ends=None, serial=run)
                statuses[str((await connection.send(request)).status)] += 1
                # What could not be sent in time is not made up for: a rate, not a number of requests.
                due = max(due + gap, time.monotonic() - gap)

    await asyncio.gather(*(work(number) for number in range(CONNECTIONS)))
    return dict(statuses)


if __name__ == "__main__":
    main()
