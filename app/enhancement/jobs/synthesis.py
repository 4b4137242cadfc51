"""From evidence to a draft: a model within a deadline where one may be asked, the extractive rules otherwise."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from app.enhancement.contract import ChatModel, ModelFailure
from app.enhancement.jobs.measures import CLAIMS, MODEL_CALLS
from app.enhancement.rules.draft import Draft
from app.enhancement.rules.evidence import Evidence
from app.enhancement.rules.extractive import compose
from app.enhancement.rules.prompt import (
    PROMPT_VERSION,
    REPAIR,
    RedactedMessage,
    build_messages,
    redacted_view,
)
from app.enhancement.rules.redaction import Redactor
from app.enhancement.rules.validation import Answer, AnswerUnusable, Judged, judge_answer, parse_answer
from app.enhancement.service.progress import ModelUse
from app.settings.enhancement import LlmSettings

_MIN_CALL_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be written about, without secrets but not yet redacted."""

    title: str
    body: str
    people: Sequence[str]
    evidence: Sequence[Evidence]
    terms: frozenset[str]


async def synthesise(
    question: Question, *, model: ChatModel | None, refusal: str | None, settings: LlmSettings
) -> tuple[Draft, ModelUse]:
    """This will return a draft whose every statement holds, and what the model took.

    Args:
        question: The ticket and its evidence.
        model: The endpoint, or None where none is configured.
        refusal: Why no model may be asked now; None where one may.
        settings: Times, names and caps.
    """
    extractive = compose(question.evidence, terms=question.terms)
    if model is None or refusal is not None or not question.evidence:
        outcome = refusal or ("nothing_to_say" if model is not None else "not_configured")
        MODEL_CALLS.labels(outcome).inc()
        return extractive, ModelUse(outcome=outcome)
    asking = _Asking(question, model, settings)
    judged = await asking.ask()
    use = asking.use(judged)
    MODEL_CALLS.labels(use.outcome).inc()
    for verdict, count in use.verdicts.items():
        CLAIMS.labels(verdict).inc(count)
    if judged is None or judged.draft is None:
        return extractive, use
    return asking.restored(judged.draft), use


class _Asking:
    """One question to at most two models, under one deadline. Nothing but redacted messages gets out."""

    def __init__(self, question: Question, model: ChatModel, settings: LlmSettings) -> None:
        self._question = question
        self._model = model
        self._settings = settings
        self._redactor = Redactor(people=question.people)
        self._deadline = monotonic() + settings.deadline_s
        self._tokens_in = 0
        self._tokens_out = 0
        self._outcome = "timeout"
        self._asked = ""

    async def ask(self) -> Judged | None:
        """Ask the first model, then the second; None where neither gave an answer of the schema."""
        question = self._question
        messages = build_messages(
            title=question.title,
            body=question.body,
            evidence=question.evidence,
            redactor=self._redactor,
            boundary=secrets.token_hex(16),
        )
        seen = redacted_view(question.evidence, self._redactor)
        names = [name for name in (self._settings.model, self._settings.fallback_model) if name]
        for index, name in enumerate(names or [""]):
            last = index == len(names) - 1 or not names
            limit = self._left() if last else min(self._left(), self._settings.first_timeout_s)
            answer = await self._one_model(messages, name, limit)
            if answer is not None:
                return judge_answer(answer, evidence=question.evidence, seen=seen)
        return None

    async def _one_model(self, messages: list[RedactedMessage], name: str, limit_s: float) -> Answer | None:
        """One call and, where its answer is not the schema, one repair within the same limit."""
        until = monotonic() + limit_s
        for _ in range(2):
            timeout_s = until - monotonic()
            if timeout_s < _MIN_CALL_S:
                return None
            self._asked = name
            try:
                reply = await self._model.complete(messages, model=name, timeout_s=timeout_s)
            except ModelFailure as failure:
                self._outcome = failure.outcome
                return None
            self._tokens_in += reply.tokens_in
            self._tokens_out += reply.tokens_out
            try:
                return parse_answer(reply.text)
            except AnswerUnusable:
                self._outcome = "unusable"
            # What the model said is no more trusted than a ticket: it goes back through the redactor.
            said = RedactedMessage("assistant", self._redactor.redact(reply.text[:4000]))
            messages = [*messages, said, RedactedMessage("user", self._redactor.redact(REPAIR))]
        return None

    def use(self, judged: Judged | None) -> ModelUse:
        """Sum up what was taken and how it ended."""
        outcome = self._outcome
        if judged is not None:
            outcome = "used" if judged.draft is not None else "ungrounded"
        return ModelUse(
            outcome=outcome,
            model=self._asked or "default",
            prompt_version=PROMPT_VERSION,
            tokens_in=self._tokens_in,
            tokens_out=self._tokens_out,
            verdicts=Counter(verdict.value for verdict in judged.verdicts) if judged is not None else {},
        )

    def restored(self, draft: Draft) -> Draft:
        """Put the real values back, after everything has been judged in placeholders."""
        restore = self._redactor.restore
        statements = tuple(
            type(statement)(
                text=restore(statement.text),
                evidence_id=statement.evidence_id,
                quote=restore(statement.quote),
                kind=statement.kind,
            )
            for statement in draft.statements
        )
        return Draft(method=draft.method, statements=statements, similar=draft.similar, confidence=draft.confidence)

    def _left(self) -> float:
        return self._deadline - monotonic()
