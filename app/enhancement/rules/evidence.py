"""What a note may rest on: a few short items with an id, a source and a degree of trust."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from app.enhancement.rules.text import content_words, cut, sentences

MAX_ITEM_CHARS = 600


class SourceKind(StrEnum):
    """Where an item came from; the value is stored and shown."""

    INCIDENT = "incident"
    TICKET = "ticket"
    KNOWLEDGE = "knowledge"


class Trust(StrEnum):
    """``trusted`` is the tenant's own reviewed documentation; everything people typed elsewhere is not."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One item. ``id`` is empty until the item is packed, then ``E1`` and so on.

    Attributes:
        ref: The item's name where it lives: a ticket number, an incident id, a knowledge entry's id.
        resolution: What ended the past case, where known; part of ``text`` once packed.
        why: The reasons it was found, for the reader.
    """

    source: SourceKind
    ref: str
    title: str
    text: str
    resolution: str = ""
    id: str = ""
    date: datetime | None = None
    trust: Trust = Trust.UNTRUSTED
    url: str = ""
    why: tuple[str, ...] = ()
    score: float = 0.0
    suspicious: bool = False

    def searchable(self) -> str:
        """This will return everything of the item that a claim may quote."""
        return f"{self.title}\n{self.text}"


_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|prior|above|all|earlier|your|system)\b"
    r"|\b(?:system|developer)\s*(?:prompt|message|instruction)|\byou are (?:now|an? )|\bact as\b"
    r"|\b(?:as an? )?(?:ai|assistant|language model|llm)\b.{0,40}\b(?:must|should|will|respond|output|reply)\b"
    r"|\b(?:respond|reply|answer|output|print|repeat|reveal)\b.{0,40}\b(?:only|exactly|verbatim|prompt|instructions?)\b"
    r"|<\|?(?:im_start|im_end|system|endoftext)\|?>|\[/?INST\]|^\s*#{2,}\s*(?:system|instruction)"
    r"|\bmark(?:ed)? (?:this|it)? ?(?:as )?(?:approved|resolved|closed)\b|\bdo not (?:tell|mention|reveal)\b",
    re.IGNORECASE | re.MULTILINE,
)


def looks_like_orders(text: str) -> bool:
    """This will say whether a text seems to address a model. It labels; the barriers are elsewhere."""
    return _ORDERS.search(text) is not None


def excerpt(text: str, *, terms: frozenset[str], limit: int = MAX_ITEM_CHARS) -> str:
    """This will return the stretch of whole sentences within ``limit`` that shares the most with ``terms``."""
    if len(text) <= limit:
        return text
    parts = [cut(part, limit) for part in sentences(text)]
    shares = [len(content_words(part) & terms) for part in parts]
    best, best_score = (0, 1), -1
    for start in range(len(parts)):
        size, score, end = 0, 0, start
        while end < len(parts) and size + len(parts[end]) + 1 <= limit - 2:
            size, score, end = size + len(parts[end]) + 1, score + shares[end], end + 1
        if score > best_score:
            best, best_score = (start, max(end, start + 1)), score
    start, end = best
    chosen = "\n".join(parts[start:end])
    return cut(("…" if start else "") + chosen + ("…" if end < len(parts) else ""), limit)


def estimate_tokens(text: str) -> int:
    """This will over-estimate a text's tokens without a tokenizer: three characters each, at least one a word."""
    return max(len(text) // 3, len(text.split())) + 1


def pack(
    candidates: Sequence[Evidence], *, terms: frozenset[str], max_tokens: int, max_items: int = 12
) -> list[Evidence]:
    """This will number the candidates in their order, cut each to size, and stop where the budget ends.

    The resolution comes first in an item's text: it is the part that a technician looks for, and what a cut
    must never take away.
    """
    packed: list[Evidence] = []
    left = max_tokens
    for candidate in candidates:
        if len(packed) == max_items:
            break
        item = _shorten(candidate, terms)
        cost = estimate_tokens(item.searchable()) + 40
        if cost > left:
            continue
        left -= cost
        packed.append(replace(item, id=f"E{len(packed) + 1}"))
    return packed


def _shorten(candidate: Evidence, terms: frozenset[str]) -> Evidence:
    resolution = excerpt(candidate.resolution.strip(), terms=terms, limit=MAX_ITEM_CHARS // 2)
    head = f"Resolution: {resolution}\n" if resolution else ""
    body = excerpt(candidate.text.strip(), terms=terms, limit=MAX_ITEM_CHARS - len(head))
    whole = f"{candidate.title}\n{candidate.resolution}\n{candidate.text}"
    return replace(
        candidate,
        title=cut(candidate.title, 200),
        text=(head + body).strip(),
        resolution=resolution,
        suspicious=candidate.suspicious or looks_like_orders(whole),
    )
