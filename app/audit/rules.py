"""The hash chain: what an entry's hash covers, and how a break is named."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

GENESIS = bytes(32)
# What orjson writes and reads as an integer; beyond it, reading back gives a float whatever was written.
_INTEGERS = range(-(2**63), 2**64)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The fields that the hash covers."""

    tenant_id: UUID
    id: UUID
    seq: int
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    subject: str
    detail: dict[str, Any]


def entry_hash(entry: Entry, prev_hash: bytes) -> bytes:
    """This will hash the previous hash and the entry's canonical JSON (sorted keys, UTC microseconds).

    The detail is hashed as it will be read back: JSONB keeps numbers as decimals, so ``1e16`` returns as an integer
    and ``-0.0`` as zero. Without that, a harmless entry would look as if somebody had changed it.
    """
    fields = [
        str(entry.tenant_id),
        str(entry.id),
        entry.seq,
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor_kind,
        entry.actor_id,
        entry.actor_name,
        entry.action,
        entry.subject,
        _canonical(orjson.loads(orjson.dumps(entry.detail, option=orjson.OPT_NON_STR_KEYS))),
    ]
    return hashlib.sha256(prev_hash + orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).digest()


def find_break(
    entry: Entry, *, prev_hash: bytes, stored_prev: bytes, stored_hash: bytes, expected_seq: int
) -> str | None:
    """This will say in words what is wrong with an entry in its place, or None."""
    if entry.seq != expected_seq:
        return f"entry {expected_seq} is missing: the next one found is {entry.seq}"
    if stored_prev != prev_hash:
        return f"entry {entry.seq} does not follow the one before it: its previous hash differs"
    if stored_hash != entry_hash(entry, prev_hash):
        return f"entry {entry.seq} was changed after it was written: its hash differs"
    return None


def _canonical(value: Any) -> Any:
    """One spelling for each number, however it was written; everything else as it is."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        # The shortest decimal is what was sent: 5.126361194263351e16 is kept with a last digit of 0, not of 2.
        whole = int(Decimal(repr(value)))
        return whole if whole in _INTEGERS else value
    return value
