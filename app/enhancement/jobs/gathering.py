"""Asking every context source at once, each within its own time; whoever fails becomes a line in the note."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import TocsinError
from app.db.jobs.context import JobContext
from app.enhancement.contract import ContextRequest, ContextSource
from app.enhancement.jobs.measures import SOURCES, stage
from app.enhancement.rules.evidence import Evidence, SourceKind
from app.enhancement.service.cases import find_similar

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Gathered:
    """What was found, best first, and which sources gave no answer, with the reason."""

    evidence: list[Evidence]
    not_consulted: dict[str, str]


class PastCases:
    """The tenant's past through short transactions of the running job."""

    def __init__(self, ctx: JobContext, *, window: int) -> None:
        self._ctx = ctx
        self._window = window

    async def search(self, *, kind: SourceKind, request: ContextRequest) -> list[Evidence]:
        """This will search one kind of case."""
        async with self._ctx.transaction() as session:
            return await find_similar(session, kind=kind, request=request, window=self._window)


async def gather(
    sources: Sequence[ContextSource], request: ContextRequest, library: PastCases, *, timeout_s: float
) -> Gathered:
    """This will ask all sources in parallel and put what they found into one order."""
    answers = await asyncio.gather(
        *(_ask(source, request, library, min(source.timeout_s, timeout_s)) for source in sources),
        return_exceptions=True,
    )
    evidence: list[Evidence] = []
    not_consulted: dict[str, str] = {}
    for source, answer in zip(sources, answers, strict=True):
        if isinstance(answer, BaseException):
            # A lost lease or a bug: neither is the source's failure.
            raise answer
        if isinstance(answer, str):
            not_consulted[source.title] = answer
        else:
            evidence += answer
    return Gathered(sorted(evidence, key=lambda item: (-item.score, item.source.value, item.ref)), not_consulted)


async def _ask(
    source: ContextSource, request: ContextRequest, library: PastCases, timeout_s: float
) -> list[Evidence] | str:
    with stage("gather", source=source.slug):
        try:
            found = await asyncio.wait_for(source.gather(request, library), timeout_s)
        except TimeoutError:
            reason = f"no answer within {timeout_s:g} s"
        except (TocsinError, SQLAlchemyError, OSError) as error:
            reason = f"failed ({type(error).__name__})"
        else:
            SOURCES.labels(source.slug, "found" if found else "empty").inc()
            return found
    SOURCES.labels(source.slug, "failed").inc()
    log.warning("enhancement.source_failed", source=source.slug, reason=reason)
    return reason
