"""The tenant's searchable past: putting cases in, finding similar ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.core.redaction import remove_secrets
from app.db.tenancy import TenantSession
from app.enhancement.contract import ContextRequest
from app.enhancement.models import CaseDocumentRow
from app.enhancement.repository import search as repository
from app.enhancement.repository.search import IndexSize
from app.enhancement.rules.entities import extract
from app.enhancement.rules.evidence import Evidence, SourceKind, Trust
from app.enhancement.rules.ranking import Features, choose_terms, fuse, idf, is_relevant, reasons, rerank
from app.enhancement.rules.text import content_words, cut, plain_text, signature_hash, words

_MAX_BODY = 16_384
_FACT = "="


async def index_case(
    session: TenantSession,
    *,
    kind: SourceKind,
    ref: str,
    title: str,
    body: str,
    occurred_at: datetime,
    resolution: str = "",
    url: str = "",
    trust: Trust = Trust.UNTRUSTED,
) -> None:
    """This will put a case into the index, or replace it. Secrets are taken out first and kept nowhere."""
    clean_title = cut(remove_secrets(plain_text(title)), 500)
    clean_body = remove_secrets(plain_text(body, limit=_MAX_BODY))
    whole = f"{clean_title}\n{clean_body}"
    await repository.upsert_document(
        session,
        repository.NewDocument(
            kind=kind.value,
            ref=ref,
            title=clean_title,
            body=clean_body,
            resolution=remove_secrets(plain_text(resolution, limit=4_000)),
            url=url,
            trust=trust.value,
            signature_hash=signature_hash(whole),
            facts=sorted(extract(whole).keys()),
            occurred_at=occurred_at,
        ),
    )


async def forget_case(session: TenantSession, *, kind: SourceKind, ref: str) -> None:
    """This will take a case out of the index."""
    await repository.delete_document(session, kind=kind.value, ref=ref)


async def find_similar(
    session: TenantSession, *, kind: SourceKind, request: ContextRequest, window: int
) -> list[Evidence]:
    """This will search one kind of case several ways, join the ranks, apply the floor and say why.

    Args:
        session: A transaction of the tenant.
        kind: What to look for.
        request: The ticket.
        window: How many of the newest titles trigram similarity may look at.
    """
    size = await repository.measure_index(session, kind=kind.value)
    if size.documents == 0:
        return []
    idfs, asked = await _weigh_terms(session, kind, request, size)
    exclude = sorted(request.exclude)
    hits = await repository.rank_by_terms(
        session, kind=kind.value, idfs=idfs, mean_words=size.words, exclude=exclude, limit=request.limit
    )
    titles = await repository.rank_by_title(
        session,
        kind=kind.value,
        title=request.title,
        exclude=exclude,
        window=window,
        among=[hit.document_id for hit in hits],
        limit=request.limit,
    )
    same = await repository.find_by_signature(
        session, kind=kind.value, signature_hash=request.signature_hash, exclude=exclude, limit=request.limit
    )
    shared = {hit.document_id: hit.terms for hit in hits}
    by_fact = [key for key, terms in shared.items() if any(term.startswith(_FACT) for term in terms)]
    scores = fuse({"words": list(shared), "facts": by_fact, "title": list(titles), "signature": same})
    said = sorted(set(words(f"{request.title}\n{request.body}")), key=len)
    found: list[Evidence] = []
    for key, document in (await repository.load_documents(session, list(scores))).items():
        terms = [_spoken(term, said) for term in shared.get(key, ())]
        features = _features(document, terms, titles.get(key, 0.0), key in same)
        if is_relevant(features, query_terms=asked):
            found.append(_as_evidence(document, features, rerank(scores[key], features, now=request.now)))
    return sorted(found, key=lambda item: (-item.score, item.ref))[: request.limit]


async def _weigh_terms(
    session: TenantSession, kind: SourceKind, request: ContextRequest, size: IndexSize
) -> tuple[dict[str, float], int]:
    """The rarest words and every known fact of the ticket, with their inverse document frequencies.

    The second value is the number of different words that the ticket has, known or not: how much a match must share
    depends on how much there was to share.
    """
    facts = sorted(request.entities.keys())
    counts = await repository.count_terms(
        session, kind=kind.value, title=request.title, body=request.body, facts=facts, horizon=size.horizon
    )
    telling = {term: n.documents for term, n in counts.items() if not term.startswith(_FACT) and not n.common}
    rare = choose_terms(telling, documents=size.documents)
    known = [term for term, n in counts.items() if n.documents and term.startswith(_FACT)]
    idfs = {term: idf(document_count=counts[term].documents, documents=size.documents) for term in [*rare, *known]}
    return idfs, sum(not term.startswith(_FACT) for term in counts)


def _spoken(term: str, said: Sequence[str]) -> str:
    """The ticket's own word for a stem, so that "why" reads as language: ``batteri`` is shown as ``batteries``."""
    if term.startswith(_FACT):
        return term
    stem = term[:-1] if len(term) > 4 else term
    return next((word for word in said if word.startswith(stem)), term)


def _features(document: CaseDocumentRow, terms: Sequence[str], likeness: float, same_signature: bool) -> Features:
    return Features(
        same_signature=same_signature,
        shared_entities=tuple(term.removeprefix(_FACT) for term in terms if term.startswith(_FACT)),
        has_resolution=bool(document.resolution),
        trusted=document.trust == Trust.TRUSTED.value,
        date=document.occurred_at,
        matched_words=tuple(term for term in terms if not term.startswith(_FACT)),
        title_similarity=likeness,
    )


def _as_evidence(document: CaseDocumentRow, features: Features, score: float) -> Evidence:
    return Evidence(
        source=SourceKind(document.kind),
        ref=document.ref,
        title=document.title,
        text=document.body,
        resolution=document.resolution,
        date=document.occurred_at,
        trust=Trust(document.trust),
        url=document.url,
        why=reasons(features),
        score=score,
    )


def query_words(title: str, body: str) -> frozenset[str]:
    """This will return the words by which evidence is cut to the part that matters."""
    return content_words(f"{title}\n{body}")


def incident_ref(incident_id: UUID) -> str:
    """This will return the name under which an incident is indexed."""
    return str(incident_id)
