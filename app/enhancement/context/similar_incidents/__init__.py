"""Past incidents of the tenant that look like this ticket."""

from __future__ import annotations

from app.enhancement.contract import CaseLibrary, ContextRequest, ContextSource
from app.enhancement.rules.evidence import Evidence, SourceKind


async def gather(request: ContextRequest, library: CaseLibrary) -> list[Evidence]:
    """This will search incidents by words, title, exact facts and error signature."""
    return await library.search(kind=SourceKind.INCIDENT, request=request)


CONTEXT = ContextSource(slug="similar_incidents", title="Past incidents", timeout_s=5.0, gather=gather)
