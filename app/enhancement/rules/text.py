"""Plain text out of what a desk sends: HTML unwrapped, hidden characters gone, variable parts masked."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata

_BLOCKS = frozenset({"p", "div", "br", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "pre", "blockquote"})
_SILENT = frozenset({"script", "style", "head", "title", "template"})
_TAG = re.compile(r"<(?:(?P<closing>/)?(?P<name>[a-z][a-z0-9]{0,20})|[!?])", re.IGNORECASE | re.ASCII)
_CLOSING = {name: re.compile(rf"</{name}\b", re.IGNORECASE | re.ASCII) for name in _SILENT}

# Variable parts that make two reports of one error look different, most specific first.
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b"), "<ip>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"(?<![\w/])/(?:[\w.+-]+/)+[\w.+-]*"), "<path>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
)
_ERROR_LINE = re.compile(
    r"\b(?:error|exception|fail(?:ed|ure)?|fatal|panic|denied|refused|timed? ?out|unreachable|oom|killed)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w][\w.\-]*[\w]|\w", re.UNICODE)
_COMMON = (
    "the and for was were are has have had with from this that then than into onto over under after before when "
    "while which where what who why how its our your their his her not but you they she him them been being "
    "will would should could can may might must shall does did done also very just only some any all each"
)
STOP_WORDS = frozenset(_COMMON.split())


def unwrap(raw: str) -> str:
    """This will return the visible text of an HTML fragment, one line per block.

    Each character is looked at once. The standard library's parser looks at the rest of the text again for every tag that
    is never closed: a hundred kilobytes of ``<a `` from a hostile ticket would hold up a worker for minutes.
    """
    parts, at = [], 0
    while (start := raw.find("<", at)) >= 0:
        parts.append(raw[at:start])
        tag = _TAG.match(raw, start)
        if tag is None:  # a plain "less than"
            parts.append("<")
            at = start + 1
            continue
        name = (tag["name"] or "").lower()
        end = _end_of(raw, start, name if not tag["closing"] else "")
        if end is None:  # never closed: a browser shows nothing of the rest either
            at = len(raw)
            break
        if name in _BLOCKS:
            parts.append("\n")
        at = end
    parts.append(raw[at:])
    return html.unescape("".join(parts))


def _end_of(raw: str, start: int, opens: str) -> int | None:
    """Where the tag that begins at ``start`` ends, with all that it hides; None where it does not end."""
    if raw.startswith("<!--", start):
        end = raw.find("-->", start + 4)
        return end + 3 if end >= 0 else None
    end = raw.find(">", start)
    if end >= 0 and opens in _SILENT:
        hidden = _CLOSING[opens].search(raw, end)
        end = raw.find(">", hidden.end()) if hidden is not None else -1
    return end + 1 if end >= 0 else None


def strip_hidden(text: str) -> str:
    """This will drop every character that shows nothing but changes meaning: zero-width, bidi, tags, controls.

    Category Cf holds the bidirectional and zero-width characters and the invisible Unicode tags that carry
    text past a reader (security catalogue D14); Cc holds NUL and ANSI's escape.
    """
    kept = []
    for char in text:
        if char in "\n\t":
            kept.append(char)
        elif char in "\u2028\u2029\r\x0b\x0c\x85":
            kept.append("\n")
        elif unicodedata.category(char) not in {"Cf", "Cc", "Cs", "Co", "Cn"} and not "\ufe00" <= char <= "\ufe0f":
            kept.append(char)
    return "".join(kept)


def plain_text(raw: str, *, limit: int = 16_384) -> str:
    """This will return the visible text of a desk's HTML or plain field, cut at ``limit`` characters.

    The newest text of a ticket is at its top, so the head is what survives the cut.
    """
    text = raw
    if "<" in raw:
        text = unwrap(raw)
    text = unicodedata.normalize("NFC", strip_hidden(text))
    lines = (re.sub(r"[ \t\u00a0]+", " ", line).strip() for line in text.split("\n"))
    return cut("\n".join(line for line in lines if line), limit)


def cut(text: str, limit: int) -> str:
    """This will return ``text`` within ``limit`` characters, ending in an ellipsis where it was longer."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def mask(text: str) -> str:
    """This will replace numbers, ids, times, addresses and paths by their kind, in lower case."""
    for pattern, kind in _MASKS:
        text = pattern.sub(kind, text)
    return re.sub(r"\s+", " ", text).strip().lower()


def signature(text: str) -> str:
    """This will return the text's first line that looks like an error, masked; empty where none does."""
    for line in text.split("\n"):
        if _ERROR_LINE.search(line):
            return mask(line)[:300]
    return ""


def signature_hash(text: str) -> str:
    """This will return a stable hash of the error signature, so that equal errors meet; empty without one."""
    found = signature(text)
    return hashlib.sha256(found.encode()).hexdigest()[:32] if found else ""


def sentences(text: str) -> list[str]:
    """This will split text at line ends and at sentence ends that are followed by a capital or a digit."""
    found = []
    for line in text.split("\n"):
        found += re.split(r"(?<=[.!?])\s+(?=[A-Z0-9\[\"'(])", line.strip())
    return [sentence.strip() for sentence in found if sentence.strip()]


def words(text: str) -> list[str]:
    """This will return the words of a text in lower case, host names and codes kept whole."""
    return [word.lower() for word in _WORD.findall(text)]


def content_words(text: str) -> frozenset[str]:
    """This will return the words that carry meaning, crudely stemmed so that plurals and tenses meet."""
    return frozenset(_stem(word) for word in words(text) if len(word) > 2 and word not in STOP_WORDS)


def _stem(word: str) -> str:
    for suffix in ("ing", "ied", "ies", "ed", "es", "s"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and word.isalpha():
            return word[: -len(suffix)]
    return word
