"""The hash chain: what an entry's hash covers, and how a break is named."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

GENESIS = bytes(32)


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
    """This will hash the previous hash and the entry's canonical JSON (sorted keys, UTC microseconds)."""
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
        entry.detail,
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
