"""Character sets that a mail may name. Python has codecs that are none: ``zip``, ``rot13``, ``unicode_escape``."""

from __future__ import annotations

import codecs
from functools import lru_cache

_NAME_MAX = 40
_TEXT_CODECS = frozenset(
    {"ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf_8", "big5", "big5hkscs", "hz"}
    | {"gb2312", "gbk", "gb18030", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "johab", "koi8-r", "koi8-u"}
    | {"iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_kr", "tis-620", "mac-roman", "mac-cyrillic", "ptcp154"}
    | {f"iso8859-{number}" for number in range(1, 17)}
    | {f"cp{number}" for number in (437, 850, 852, 855, 858, 866, 874, *range(1250, 1259))}
)


@lru_cache(maxsize=64)
def text_codec(said: str) -> str:
    """This will return the codec of a character set by its name, and nothing where there is none of texts."""
    if len(said) > _NAME_MAX:
        return ""
    try:
        codec = codecs.lookup(said).name
    except (LookupError, ValueError, TypeError):
        return ""
    return codec if codec in _TEXT_CODECS else ""
