"""The tenant's own documentation."""

from __future__ import annotations

from app.enhancement.contract import CaseLibrary, ContextRequest, ContextSource
from app.enhancement.rules.evidence import Evidence, SourceKind


async def gather(request: ContextRequest, library: CaseLibrary) -> list[Evidence]:
    """This will search knowledge entries by words, title and exact facts."""
    return await library.search(kind=SourceKind.KNOWLEDGE, request=request)


CONTEXT = ContextSource(slug="knowledge", title="Documentation", timeout_s=5.0, gather=gather)
