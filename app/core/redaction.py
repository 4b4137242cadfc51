"""Finding credentials in free text, for everything that shows strangers' words. What matches becomes ``[SECRET]``, for good."""

from __future__ import annotations

import math
import re
from collections import Counter

SECRET = "[SECRET]"  # noqa: S105 - the replacement, not a secret

_WHOLE: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (
            r"-----BEGIN [A-Z0-9 ]*(?:PRIVATE KEY|CERTIFICATE REQUEST)[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)",
            re.S,
        ),
        (r"\b(?:AKIA|ASIA|AROA|AGPA|AIDA)[A-Z0-9]{12,}\b", 0),
        (r"\bgh[pousr]_[A-Za-z0-9]{16,}", 0),
        (r"\bgithub_pat_[A-Za-z0-9_]{20,}", 0),
        (r"\bgl(?:pat|rt|dt|ft|oas|soat)-[A-Za-z0-9_-]{16,}", 0),
        (r"\bxox[abeoprs]-[A-Za-z0-9-]{8,}", 0),
        (r"\bxapp-[A-Za-z0-9-]{8,}", 0),
        (r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[^\s\"'<>]+", re.I),
        (r"https://[\w.-]*webhook\.office\.com/[^\s\"'<>]+", re.I),
        (r"https://(?:canary\.|ptb\.)?discord(?:app)?\.com/api/webhooks/[^\s\"'<>]+", re.I),
        (r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,}", 0),
        (r"\bwhsec_[A-Za-z0-9+/=_-]{8,}", 0),
        (r"\bsk-(?:ant-|proj-|or-|svcacct-)?[A-Za-z0-9_-]{16,}", 0),
        (r"\bAIza[A-Za-z0-9_-]{30,}", 0),
        (r"\bya29\.[A-Za-z0-9_-]{16,}", 0),
        (r"\bGOCSPX-[A-Za-z0-9_-]{16,}", 0),
        (r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", 0),
        (r"\b(?:npm|hf|dop_v1|pat|shpat|shpss|sq0atp|lin_api|figd)_?[-_][A-Za-z0-9]{20,}", 0),
        (r"\bpypi-[A-Za-z0-9_-]{20,}", 0),
        (r"\btc[so]_[0-9A-Za-z]{20,}", 0),
        (r"\bdckr_pat_[A-Za-z0-9_-]{16,}", 0),
        (r"\bhv[sbr]\.[A-Za-z0-9_-]{16,}", 0),
        (r"\b\d{8,10}:AA[A-Za-z0-9_-]{30,}", 0),
        (r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)?", 0),
        (r"\$2[abxy]?\$\d{2}\$[./A-Za-z0-9]{20,}", 0),
        (r"\$argon2(?:id|i|d)\$[^\s\"'<>]+", 0),
        (r"\$(?:1|5|6|y)\$[^\s:\"'<>]{8,}", 0),
        (r"\bSK[0-9a-f]{32}\b", 0),
    )
)
_KEY = (
    r"[\w.-]{0,40}?(?:pass(?:wor[dt]|wd|code|phrase)?|pwd|secret|token|api[\s_-]?key|access[\s_-]?key|account[\s_-]?key|"
    r"auth[\s_-]?key|private[\s_-]?key|technician[\s_-]?key|client[\s_-]?secret|credentials?|signature|sig|"
    r"kennwort|passwort|mot de passe|contrase[ñn]a|senha|pin(?:[\s_-]?code)?|otp|mfa[\s_-]?code)[\w-]{0,20}"
)
_VALUE = r"(?:\"[^\"\n]{1,300}\"|'[^'\n]{1,300}'|`[^`\n]{1,300}`|[^\s,;<>\"'`&|]{3,300})"
_BY_NAME: tuple[re.Pattern[str], ...] = (
    # password=..., "api_key": "...", SECRET := ...
    re.compile(rf"(?P<keep>(?<![\w]){_KEY}[\"'`]?\s*(?::=|=>|=|:)\s*)(?P<value>{_VALUE})", re.I),
    # the password is hunter2; new password for bob is ...
    re.compile(
        rf"(?P<keep>(?<![\w])(?:{_KEY})(?:\s+(?:for|of|to)\s+\S+)?"
        rf"\s+(?:(?:is|was|ist|has been)(?:\s+now)?(?:\s+(?:changed|set|reset)\s+to)?|(?:(?:changed|set|reset)\s+)?to)"
        rf"\s*:?\s+)(?P<value>{_VALUE})",
        re.I,
    ),
    # --password hunter2, -p hunter2 after mysql-like commands
    re.compile(rf"(?P<keep>--?{_KEY}[ =]+)(?P<value>{_VALUE})", re.I),
    re.compile(r"(?P<keep>\b(?:mysql|mysqldump|mariadb|sshpass)\b[^\n]{0,80}?\s-p\s?)(?P<value>[^\s-]\S{2,})", re.I),
    re.compile(r"(?P<keep>\bcurl\b[^\n]{0,200}?\s(?:-u|--user)\s+[\"']?[^\s:\"']+:)(?P<value>[^\s\"']+)", re.I),
    re.compile(
        r"(?P<keep>\b(?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)(?P<value>(?:\w[\w-]*\s+)?[^\s\"'<>,]+)", re.I
    ),
    re.compile(
        r"(?P<keep>\b(?:bearer|basic|authtoken|zoho-oauthtoken)\s*:?\s+)(?P<value>[A-Za-z0-9._~+/=:-]{8,})", re.I
    ),
    re.compile(r"(?P<keep>\b(?:set-)?cookie[\"']?\s*:\s*)(?P<value>[^\n\"']+)", re.I),
    re.compile(
        r"(?P<keep>\bx-[\w-]{0,40}?(?:key|token|auth|secret|signature)[\w-]{0,40}[\"']?\s*[:=]\s*[\"']?)(?P<value>[^\s\"'<>,]+)",
        re.I,
    ),
    # scheme://user:password@host
    re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"']{0,120}:)(?P<value>[^\s/\"']+)(?=@)", re.I),
    re.compile(
        r"(?P<keep>[?&](?:[\w.-]*(?:key|token|secret|sig|signature|auth|code|session|password|pwd))=)"
        r"(?P<value>[^\s&#\"'<>]+)",
        re.I,
    ),
)
_LONG = re.compile(r"(?<![\w+/=.-])[A-Za-z0-9+/_=-]{28,}(?![\w+/=-])")
_CARD = re.compile(r"(?<![\d-])(?:\d[ -]?){12,18}\d(?![\d-])")
_HEX_ID = re.compile(r"^(?:[0-9a-f-]+|[0-9A-F-]+)$")
# Words that follow "password is" in ordinary sentences and are not the password.
_ORDINARY = (
    "not wrong expired expiring incorrect invalid required missing needed empty correct ok rejected refused the a an "
    "be been being no longer too unknown unset used now still and or reset changed locked failing none null true "
    "false"
)
_NOT_VALUES = frozenset(_ORDINARY.split())


def remove_secrets(text: str) -> str:
    """This will replace every credential with ``[SECRET]``. Applying it twice changes nothing more."""
    for pattern in _WHOLE:
        text = pattern.sub(SECRET, text)
    for pattern in _BY_NAME:
        text = pattern.sub(_hide_value, text)
    text = _CARD.sub(_hide_card, text)
    return _LONG.sub(_hide_random, text)


def _hide_value(match: re.Match[str]) -> str:
    value = match["value"]
    if value.strip("\"'`.").lower() in _NOT_VALUES or value.startswith("[SECRET"):
        return match[0]
    quote = value[0] if value[0] in "\"'`" and value[-1] == value[0] and len(value) > 1 else ""
    return f"{match['keep']}{quote}{SECRET}{quote}"


def _hide_card(match: re.Match[str]) -> str:
    digits = [int(char) for char in match[0] if char.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) if index % 2 else digit for index, digit in enumerate(reversed(digits))]
    return SECRET if sum(doubled) % 10 == 0 and len(set(digits)) > 1 else match[0]


def _hide_random(match: re.Match[str]) -> str:
    """A long run of mixed characters is a key of a kind not listed above; hex ids and plain words are not."""
    run = match[0]
    mixed = any(c.isdigit() for c in run) and any(c.isupper() for c in run) and any(c.islower() for c in run)
    return SECRET if mixed and not _HEX_ID.match(run) and _entropy_bits(run) > 3.7 else run


def _entropy_bits(run: str) -> float:
    counts = Counter(run)
    return -sum(n / len(run) * math.log2(n / len(run)) for n in counts.values())
