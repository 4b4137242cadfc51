"""Confirming a subscription that a topic asked for: a job, after the signature held, and only at the topic's own host.

What comes in is never called while it is being answered. The address was judged with the signature; it is judged again
before the call, for a row may have been written by an older release.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import structlog

from app.audit.service import record
from app.core.actor import Actor
from app.core.backoff import RetryPolicy
from app.core.jobs import Job, PermanentJobError, Queue, registry
from app.db.engine import Database
from app.db.jobs.context import JobContext
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.ingest.known_sources import KnownSource
from app.net.outbound import EgressRefused, OutboundError, OutboundHttp
from app.net.signing.plugins.sns import is_confirm_url

log = structlog.get_logger(__name__)

_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 65_536


class ConfirmationFailed(OutboundError):
    """The topic did not confirm; the job tries again."""

    code = "source.confirmation_failed"
    title = "The subscription could not be confirmed"


@dataclass(frozen=True, kw_only=True)
class ConfirmSubscription(Job):
    """Call the address that confirms a source's subscription. Calling it twice confirms it once."""

    kind: ClassVar[str] = "ingest.confirm_subscription"
    queue: ClassVar[Queue] = Queue.NOTIFICATION
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=8, base_s=2.0, cap_s=300.0)

    source_id: UUID
    url: str

    @property
    def key(self) -> str:
        """The unique key: the same request sent again is the same job."""
        return f"{self.source_id}:{hashlib.sha256(self.url.encode()).hexdigest()}"


async def ask_for_confirmation(database: Database, source: KnownSource, url: str) -> None:
    """This will leave the confirmation to a job.

    Raises:
        Unavailable: The database does not answer.
    """
    async with tenant_session(database, source.tenant_id) as session:
        job = ConfirmSubscription(source_id=source.source_id, url=url)
        await enqueue(session, job, unique_key=job.key)


@registry.stepwise(ConfirmSubscription)
async def confirm_subscription(ctx: JobContext, job: ConfirmSubscription) -> None:
    """This will call the address once and record it.

    Raises:
        PermanentJobError: The address is not the topic's own, or must not be called from here.
        ConfirmationFailed: It did not answer as it should.
    """
    if not is_confirm_url(job.url):
        raise PermanentJobError("the address is not one of the topic's own")
    try:
        answer = await ctx.resources.get(OutboundHttp).request(
            "GET", job.url, timeout_s=_TIMEOUT_S, max_bytes=_MAX_ANSWER_BYTES
        )
    except EgressRefused as error:
        raise PermanentJobError(error.detail) from error
    if not answer.is_success:
        raise ConfirmationFailed(f"the answer has the status {answer.status}", sent=True)
    async with ctx.transaction() as session:
        await record(
            session,
            actor=Actor.system("ingest"),
            action="source.subscription_confirmed",
            subject=f"source:{job.source_id}",
            detail={},
            now=ctx.clock.now(),
        )
    log.info("ingest.subscription_confirmed", source_id=str(job.source_id))
