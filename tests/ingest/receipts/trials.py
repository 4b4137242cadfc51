"""Trials: what they are asked, and bodies that fire, repeat and resolve."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tests.ingest.receipts.conftest import Scene

EVER = {"since": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
BEGAN = datetime(2030, 1, 7, 9, 0, tzinfo=UTC)
WORDS = ("critical", "page", "warning", "low", "odd")


def make_body(rng: random.Random, minute: int) -> bytes:
    """An alert event of a small world, so that keys, groups and states meet again."""
    return orjson.dumps(
        {
            "id": f"check-{rng.randrange(6)}",
            "title": f"Check {rng.randrange(3)}",
            "status": rng.choice(["firing", "firing", "resolved"]),
            "severity": rng.choice(WORDS),
            "timestamp": (BEGAN + timedelta(minutes=minute)).isoformat(),
            "labels": {"service": rng.choice(["shop", "mail"]), "zone": rng.choice(["a", "b"])},
        }
    )


async def ask(scene: Scene, source_id: Any, **request: Any) -> dict[str, Any]:
    """Ask for a trial, let it be worked out, and return it."""
    asked = await scene.post(f"/v1/sources/{source_id}/time-travel", EVER | request)
    assert asked.status_code == 202, asked.text
    await scene.work()
    found: dict[str, Any] = (await scene.get(f"/v1/time-travel/{asked.json()['id']}")).json()
    return found
