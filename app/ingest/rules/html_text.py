"""HTML of strangers to text: one pass, no tree, nothing fetched. What is left is text and is shown as text."""

from __future__ import annotations

import html
import re

_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)")
_LONG_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{8,};?")
_CAPITALS = re.compile("[A-Z]+")
_DROPPED = frozenset({"script", "style", "head", "title", "template", "noscript", "svg", "object"})
_LINES = frozenset(
    {"br", "p", "div", "tr", "table", "ul", "ol", "li", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote"}
)
_CELLS = frozenset({"td", "th"})


def html_to_text(source: str) -> str:
    """This will return the text of an HTML page, with line ends where blocks end. Linear, and never raises."""
    # Of the same length: some letters that are not ASCII have more than one in lower case.
    lowered = source.lower() if source.isascii() else _CAPITALS.sub(lambda found: found.group().lower(), source)
    written: list[str] = []
    at = 0
    while (start := source.find("<", at)) >= 0:
        written.append(source[at:start])
        at = _after_tag(source, lowered, start, written)
        if at < 0:  # never closed: nothing behind it is text
            break
    else:
        written.append(source[at:])
    # Digits without end would make an int of them; no character has a number that long.
    text = html.unescape(_LONG_NUMBER.sub("", "".join(written)))
    return tidy(text)


def _after_tag(source: str, lowered: str, start: int, written: list[str]) -> int:
    if source.startswith("<!--", start):
        end = source.find("-->", start + 4)
        return end + 3 if end >= 0 else -1
    name = _TAG.match(lowered, start)
    if name is None and not source.startswith(("<!", "<?"), start):
        written.append("<")  # a sign of comparison, not a tag
        return start + 1
    end = source.find(">", start)
    if end < 0:
        return -1
    tag = name.group(1) if name is not None else ""
    if tag in _LINES:
        written.append("\n")
    elif tag in _CELLS:
        written.append(" ")
    if tag in _DROPPED and not source.startswith("</", start):
        return lowered.find(f"</{tag}", end)
    return end + 1


def tidy(text: str) -> str:
    """This will strip each line and keep no more than one empty line in a row."""
    lines: list[str] = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        # What is printable holds no white space but the blank, so hardly any line has to be taken apart.
        plain = line.strip() if line.isprintable() and "  " not in line else " ".join(line.split())
        if plain or (lines and lines[-1]):
            lines.append(plain)
    return "\n".join(lines).strip()
