"""The gate on search quality: families are found again, strangers find nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.db.tenancy import TenantSession
from app.enhancement.contract import ContextRequest
from app.enhancement.rules.entities import extract
from app.enhancement.rules.evidence import SourceKind
from app.enhancement.rules.text import signature_hash
from app.enhancement.service.cases import find_similar, index_case
from tests.enhancement.families import past_cases, questions, strangers

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


async def search(session: TenantSession, title: str, body: str) -> list[str]:
    """This will return the names of the found tickets, best first."""
    whole = f"{title}\n{body}"
    request = ContextRequest(
        title=title,
        body=body,
        entities=extract(whole),
        signature_hash=signature_hash(whole),
        exclude=frozenset(),
        limit=10,
        now=NOW,
    )
    return [item.ref for item in await find_similar(session, kind=SourceKind.TICKET, request=request, window=1000)]


async def test_new_tickets_find_their_family_and_strangers_find_nothing(session: TenantSession) -> None:
    family_of = {}
    for number, case in enumerate(past_cases()):
        family_of[str(number)] = case.family
        await index_case(
            session,
            kind=SourceKind.TICKET,
            ref=str(number),
            title=case.title,
            body=case.body,
            resolution=case.resolution,
            occurred_at=NOW - timedelta(hours=number),
        )
    asked = questions()
    found = [(case, [family_of[ref] for ref in await search(session, case.title, case.body)]) for case in asked]
    first = sum(families[:1] == [case.family] for case, families in found) / len(found)
    third = sum(case.family in families[:3] for case, families in found) / len(found)
    assert first >= 0.85, [(case.family, families[:3]) for case, families in found if families[:1] != [case.family]]
    assert third >= 0.95
    assert [title for title, body in strangers() if await search(session, title, body)] == []
