"""From statements to the HTML of a note: everything escaped, nothing clickable that the tenant did not vouch for."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.enhancement.rules.draft import Draft, Kind, Method, Statement
from app.enhancement.rules.entities import Entities
from app.enhancement.rules.evidence import Evidence, SourceKind, Trust
from app.enhancement.rules.redaction import PLACEHOLDER
from app.enhancement.rules.text import cut, strip_hidden

MAX_NOTE_CHARS = 12_000
_MARKER = re.compile(r"\[tocsin:[^\]]*\]", re.IGNORECASE)
_SCHEME = re.compile(r"\b([a-z][a-z0-9+.-]{1,15})(:)(//|(?=[^\s/]))", re.IGNORECASE)
_SCHEMES = "http https ftp ftps javascript data vbscript mailto file tel ws wss ssh smb"
_ACTIVE_SCHEMES = frozenset(_SCHEMES.split())
_WWW = re.compile(r"\bwww\.", re.IGNORECASE)
_SLASHED = re.compile(r"(?<![\w@.-])((?:[\w-]+\.)+)([a-z]{2,24})(?=/)", re.IGNORECASE)
_SOURCE_NAMES = {SourceKind.INCIDENT: "Incident", SourceKind.TICKET: "Ticket", SourceKind.KNOWLEDGE: "Documentation"}
_KIND_NAMES = {Kind.FACT: "Known", Kind.HYPOTHESIS: "Possible", Kind.CHECK: "Check"}


@dataclass(frozen=True, kw_only=True)
class NoteContext:
    """What stands around the statements.

    Attributes:
        not_consulted: Source title to reason, for each source that gave no answer in time.
        ticket_suspicious: The ticket itself holds text that addresses a model.
    """

    enhancement_id: UUID
    evidence: Sequence[Evidence]
    entities: Entities
    signature: str
    not_consulted: Mapping[str, str]
    ticket_suspicious: bool


def marker(enhancement_id: UUID) -> str:
    """This will return the text by which a note is found again. Visible: desks remove HTML comments."""
    return f"[tocsin:{enhancement_id}]"


def defang(text: str) -> str:
    """This will keep a link readable and stop every desk and mail reader from making it clickable."""

    def neutral(match: re.Match[str]) -> str:
        scheme = match[1].lower()
        if match[3] != "//" and scheme not in _ACTIVE_SCHEMES:
            return match[0]
        return f"{match[1].replace('tt', 'xx').replace('TT', 'XX')}[:]{match[3]}"

    text = _SCHEME.sub(neutral, text)
    text = _WWW.sub("www[.]", text)
    return _SLASHED.sub(lambda match: match[1].replace(".", "[.]") + match[2], text)


def shown(text: str, *, limit: int) -> str:
    """This will make untrusted text safe to stand in the note."""
    cleaned = re.sub(r"\s+", " ", strip_hidden(text)).strip()
    cleaned = _MARKER.sub("[marker removed]", cleaned)
    cleaned = PLACEHOLDER.sub(r"(\1 \2)", cleaned)
    return html.escape(defang(cut(cleaned, limit)), quote=True)


def render(draft: Draft, context: NoteContext) -> str:
    """This will return the note. Over the length cap the last statements go, never half a tag."""
    statements = list(draft.statements)
    while True:
        note = _render(draft, statements, context)
        if len(note) <= MAX_NOTE_CHARS or not statements:
            return note
        statements.pop()


def _render(draft: Draft, statements: Sequence[Statement], context: NoteContext) -> str:
    by_id = {item.id: item for item in context.evidence}
    parts = ["<b>Context from Tocsin</b>", _headline(draft, statements)]
    if context.ticket_suspicious:
        parts.append("Possible instruction text in this ticket; it was treated as data.")
    if statements:
        parts.append(_list(_statement(statement, by_id[statement.evidence_id]) for statement in statements))
    similar = [by_id[evidence_id] for evidence_id in draft.similar]
    if similar:
        parts.append("<b>Similar cases</b>" + _list(_case(item) for item in similar))
    if facts := _facts(context):
        parts.append("<b>Found in the ticket</b>" + _list(facts))
    used = {statement.evidence_id for statement in statements} | set(draft.similar)
    if sources := [_source(item) for item in context.evidence if item.id in used]:
        parts.append("<b>Sources</b>" + _list(sources))
    if context.not_consulted:
        parts.append(
            _list(
                f"Not consulted: {shown(name, limit=60)}: {shown(reason, limit=120)}"
                for name, reason in context.not_consulted.items()
            )
        )
    parts.append(f"Rate this note from 1 to 5 in Tocsin. {marker(context.enhancement_id)}")
    return "<div>" + "".join(f"<div>{part}</div>" for part in parts) + "</div>"


def _headline(draft: Draft, statements: Sequence[Statement]) -> str:
    if not statements and not draft.similar:
        return "Nothing similar was found in past incidents, tickets or documentation."
    how = "Written by a model from" if draft.method is Method.MODEL else "Taken word for word from"
    count = len({statement.evidence_id for statement in statements} | set(draft.similar))
    return f"{how} {count} {'source' if count == 1 else 'sources'}; confidence {draft.confidence.value}."


def _statement(statement: Statement, item: Evidence) -> str:
    line = f"{_KIND_NAMES[statement.kind]}: {shown(statement.text, limit=300)} [{item.id}]"
    if statement.quote != statement.text:
        line += f"<br><i>&ldquo;{shown(statement.quote, limit=300)}&rdquo;</i>"
    return line


def _case(item: Evidence) -> str:
    notes = [shown(reason, limit=100) for reason in item.why]
    if item.suspicious:
        notes.append("holds possible instruction text, so it is not quoted")
    title = f"{_SOURCE_NAMES[item.source]} {shown(item.ref, limit=80)}: {shown(item.title, limit=200)} [{item.id}]"
    return title + (f" ({'; '.join(notes)})" if notes else "")


def _facts(context: NoteContext) -> list[str]:
    found = context.entities
    groups = (("Addresses", found.ips), ("Hosts", found.hosts), ("Codes", found.codes))
    facts = [f"{name}: {shown(', '.join(values[:8]), limit=300)}" for name, values in groups if values]
    return facts + ([f"Error: {shown(context.signature, limit=200)}"] if context.signature else [])


def _source(item: Evidence) -> str:
    date = f", {item.date.date().isoformat()}" if item.date else ""
    line = f"[{item.id}] {_SOURCE_NAMES[item.source]} {shown(item.ref, limit=80)}: {shown(item.title, limit=200)}{date}"
    if item.trust is Trust.TRUSTED and re.match(r"https?://[^\s\"'<>]+$", item.url):
        line += f" {html.escape(item.url, quote=True)}"
    return line


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"
