"""From a ticket to a finished note in one fenced transaction; everything in between is reading and thinking."""

from __future__ import annotations

from app.core.redaction import remove_secrets
from app.db.jobs.context import JobContext
from app.enhancement.contract import ChatModel, ContextRequest, DeskTicket
from app.enhancement.jobs.gathering import PastCases, gather
from app.enhancement.jobs.measures import stage
from app.enhancement.jobs.synthesis import Question, synthesise
from app.enhancement.models import DeskRow
from app.enhancement.rules.entities import extract
from app.enhancement.rules.evidence import Evidence, looks_like_orders, pack
from app.enhancement.rules.render import NoteContext, render
from app.enhancement.rules.text import plain_text, signature, signature_hash
from app.enhancement.service.cases import query_words
from app.enhancement.service.catalogue import context_sources
from app.enhancement.service.progress import Work, model_refusal, record_composed
from app.enhancement.synthesis.openai import OpenAiChat
from app.net.outbound import OutboundHttp
from app.settings import Settings
from app.settings.enhancement import EnhancementSettings

# Tokens of the input budget that are kept for the instruction, the schema and the ticket itself.
_TICKET_TOKENS = 2_500
_TICKET_CHARS = 4_000


async def compose_note(ctx: JobContext, work: Work, ticket: DeskTicket, *, desk: DeskRow) -> None:
    """This will gather, rank, synthesise, validate and render, and store the result as *composed*."""
    settings = ctx.resources.get(Settings).enhancement
    title, body = remove_secrets(plain_text(ticket.title)), remove_secrets(plain_text(ticket.body))
    request = ContextRequest(
        title=title,
        body=body,
        entities=extract(f"{title}\n{body}"),
        signature_hash=signature_hash(f"{title}\n{body}"),
        exclude=frozenset({work.ticket.external_id, str(work.enhancement.incident_id)}),
        limit=settings.max_candidates,
        now=ctx.clock.now(),
    )
    library = PastCases(ctx, window=settings.search_window)
    gathered = await gather(context_sources(), request, library, timeout_s=settings.context_timeout_s)
    terms = query_words(title, body)
    evidence = pack(
        gathered.evidence,
        terms=terms,
        max_tokens=max(500, settings.llm.max_input_tokens - _TICKET_TOKENS),
        max_items=settings.max_evidence,
    )
    question = Question(title=title, body=body[:_TICKET_CHARS], people=ticket.people, evidence=evidence, terms=terms)
    with stage("synthesise"):
        draft, use = await synthesise(
            question, model=_model(ctx, settings), refusal=await _refusal(ctx, desk, settings), settings=settings.llm
        )
    note = render(draft, _note_context(work, request, evidence, gathered.not_consulted))
    async with ctx.transaction() as session:
        await record_composed(
            session,
            enhancement_id=work.enhancement.id,
            draft=draft,
            note=note,
            evidence=evidence,
            not_consulted=gathered.not_consulted,
            use=use,
            settings=settings.llm,
            now=ctx.clock.now(),
        )


def _note_context(
    work: Work, request: ContextRequest, evidence: list[Evidence], not_consulted: dict[str, str]
) -> NoteContext:
    whole = f"{request.title}\n{request.body}"
    return NoteContext(
        enhancement_id=work.enhancement.id,
        evidence=evidence,
        entities=request.entities,
        signature=signature(whole),
        not_consulted=not_consulted,
        ticket_suspicious=looks_like_orders(whole),
    )


def _model(ctx: JobContext, settings: EnhancementSettings) -> ChatModel | None:
    if settings.llm.base_url is None:
        return None
    return OpenAiChat(settings.llm, ctx.resources.get(OutboundHttp))


async def _refusal(ctx: JobContext, desk: DeskRow, settings: EnhancementSettings) -> str | None:
    async with ctx.transaction() as session:
        return await model_refusal(session, settings=settings.llm, desk=desk, now=ctx.clock.now())
