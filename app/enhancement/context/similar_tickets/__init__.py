"""Past tickets of the tenant that look like this one. What people wrote in them is not trusted."""

from __future__ import annotations

from app.enhancement.contract import CaseLibrary, ContextRequest, ContextSource
from app.enhancement.rules.evidence import Evidence, SourceKind


async def gather(request: ContextRequest, library: CaseLibrary) -> list[Evidence]:
    """This will search tickets by words, title, exact facts and error signature."""
    return await library.search(kind=SourceKind.TICKET, request=request)


CONTEXT = ContextSource(slug="similar_tickets", title="Past tickets", timeout_s=5.0, gather=gather)
