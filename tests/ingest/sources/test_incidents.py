"""From each sender's own words to an incident and to its end: what says that it is over closes what it opened."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from sqlalchemy import text

from app.core.clock import Clock
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest import sources
from app.ingest.service import CreatedSource
from app.ingest.sources import all_sources
from tests.factories.ingest import Sender, committed_source, signed_headers
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs

FOLDER = Path(sources.__file__).parent
LIVES = [
    ("kapacitor", "critical", "ok"),
    ("elastalert", "match", "recovered"),
    ("healthchecks", "down", "up"),
    ("honeycomb", "triggered", "ok"),
    ("rollbar", "new_item", "resolved_item"),
    ("bugsnag", "first_exception", "fixed"),
    ("cloudflare", "ddos_start", "ddos_end"),
    ("riemann", "critical", "ok"),
    ("vrealize", "active", "canceled"),
    ("thousandeyes", "trigger", "clear"),
    ("librenms", "alert", "recovered"),
]


async def deliver(sender: Sender, source: CreatedSource, sample: str) -> None:
    """Send a sample as its sender would, with the profile that the kind prescribes."""
    kind = all_sources()[source.source.kind]
    found = orjson.loads((FOLDER / kind.slug / "samples" / f"{sample}.json").read_bytes())
    body = found["raw"].encode() if "raw" in found else orjson.dumps(found["body"])
    now = sender.resources.get(Clock).now()  # type: ignore[type-abstract]
    headers = dict(signed_headers(source, body, now)) | found.get("headers", {})
    answer = await sender.client.post(source.url_path, content=body, headers=headers)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(("slug", "begins", "ends"), LIVES)
async def test_an_incident_opens_and_is_resolved(
    scratch_sender: Sender,
    scratch_resources: Resources,
    scratch_database: Database,
    slug: str,
    begins: str,
    ends: str,
) -> None:
    tenant = await make_tenant(scratch_database)
    kind = all_sources()[slug]
    source = await committed_source(scratch_resources, tenant, kind=slug, profile=kind.profile)

    async def incidents() -> list[tuple[str, str]]:
        async with tenant_session(scratch_database, tenant) as session:
            found = await session.execute(text("select state, title from incidents"))
            return [(state, title) for state, title in found]

    await deliver(scratch_sender, source, begins)
    await run_jobs(scratch_resources)
    ((state, title),) = await incidents()
    assert state == "open"
    await deliver(scratch_sender, source, ends)
    await run_jobs(scratch_resources)
    assert await incidents() == [("resolved", title)]
