"""Issue descriptions: plain text with wiki markup, or an Atlassian document."""

from __future__ import annotations

from app.ingest.rules import fields, values

_BLOCKS = ("paragraph", "heading", "codeBlock", "listItem", "tableRow", "blockquote", "rule", "panel")
_NODES_MAX = 5000


def document_text(value: object) -> str:
    """This will return the description as plain text; of a document its text, a line for each block."""
    if isinstance(value, str):
        return values.clean_text(value.strip(), limit=values.DESCRIPTION_MAX)
    pieces: list[str] = []
    # By hand and not by recursion: a stranger decides how deep it is.
    waiting: list[object] = [value]
    for _ in range(_NODES_MAX):
        if not waiting:
            break
        node = waiting.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif isinstance(node, dict):
            waiting += _parts(node)
    lines = (" ".join(line.split()) for line in "".join(pieces).splitlines())
    return fields.description_of(lines)


def _parts(node: dict[str, object]) -> list[object]:
    """What a node consists of, last first."""
    content = node.get("content")
    parts: list[object] = list(reversed(content[:_NODES_MAX])) if isinstance(content, list) else []
    kind = node.get("type")
    if kind == "text":
        said = node.get("text")
        parts.append(values.clean_text(said, limit=values.DESCRIPTION_MAX) if isinstance(said, str) else "")
    elif kind == "hardBreak":
        parts.append("\n")
    elif kind in ("mention", "emoji", "inlineCard", "status", "date"):
        parts.append(fields.text_at(fields.object_at(node, "attrs"), "text", "url", "shortName", "timestamp"))
    if isinstance(kind, str) and kind in _BLOCKS:
        parts.insert(0, "\n")
    return parts
