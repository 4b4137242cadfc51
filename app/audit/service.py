"""Recording who did what, in the transaction of the deed, and proving that nothing was taken away since.

The chain's head is locked from the first entry of a transaction until its commit, so entries of one tenant are written
one after the other and the chain has no gap; record at the end of a transaction where there is a choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.audit import repository
from app.audit.models import AuditRow
from app.audit.rules import GENESIS, Entry, entry_hash, find_break
from app.core.actor import Actor
from app.core.ids import new_id
from app.db.tenancy import TenantSession


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One thing that was done.

    Attributes:
        actor: Who.
        action: What, ``incident.acknowledged``.
        subject: To what, ``incident:<id>``.
        detail: JSON-able facts; never a secret.
    """

    actor: Actor
    action: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VerifyReport:
    """The result of walking a chain: how many entries hold, and the first break, if any.

    Attributes:
        entries: Entries that hold, from the first on.
        broken: What is wrong with the next one, or None.
        head: Hash of the last entry that holds; kept elsewhere, it shows later that the chain was not written anew.
    """

    entries: int
    broken: str | None
    head: bytes = field(default=GENESIS, compare=False)

    @property
    def ok(self) -> bool:
        return self.broken is None


async def record(
    session: TenantSession, *, actor: Actor, action: str, subject: str, detail: dict[str, Any], now: datetime
) -> None:
    """This will append one entry to the tenant's chain; it exists only if the deed commits."""
    await record_many(session, [Deed(actor=actor, action=action, subject=subject, detail=detail)], now=now)


async def record_many(session: TenantSession, deeds: Sequence[Deed], *, now: datetime) -> None:
    """This will append several entries in order, with one lock and two statements."""
    if not deeds:
        return
    seq, prev_hash = await repository.lock_head(session)
    rows: list[dict[str, object]] = []
    for deed in deeds:
        seq += 1
        entry = Entry(
            tenant_id=session.tenant_id,
            id=new_id(),
            seq=seq,
            at=now,
            actor_kind=deed.actor.kind.value,
            actor_id=deed.actor.id,
            actor_name=deed.actor.name,
            action=deed.action,
            subject=deed.subject,
            detail=deed.detail,
        )
        digest = entry_hash(entry, prev_hash)
        rows.append({**vars(entry), "prev_hash": prev_hash, "hash": digest})
        prev_hash = digest
    await repository.append(session, rows)


async def list_entries(
    session: TenantSession,
    *,
    actor: str | None,
    action: str | None,
    since: datetime | None,
    before_seq: int | None,
    limit: int,
) -> Sequence[AuditRow]:
    """This will return a page of the trail, newest first."""
    return await repository.list_entries(
        session, actor=actor, action=action, since=since, before_seq=before_seq, limit=limit
    )


async def verify_chain(session: TenantSession) -> VerifyReport:
    """This will walk the tenant's chain and report the first missing, changed, cut-off or stray entry.

    The head is read first and the walk ends there: entries that are written meanwhile are no break.
    """
    head_seq, head_hash = await repository.find_head(session)
    prev_hash, count = GENESIS, 0
    async for row in repository.stream_entries(session, up_to=head_seq):
        entry = Entry(**{name: getattr(row, name) for name in Entry.__dataclass_fields__})
        broken = find_break(
            entry, prev_hash=prev_hash, stored_prev=row.prev_hash, stored_hash=row.hash, expected_seq=count + 1
        )
        if broken is not None:
            return VerifyReport(count, broken, prev_hash)
        prev_hash, count = row.hash, count + 1
    if count != head_seq:
        return VerifyReport(count, f"the trail ends at entry {count}, but {head_seq} were written", prev_hash)
    if prev_hash != head_hash:
        broken = f"entry {count} is not the one that was written last: the head's hash differs"
        return VerifyReport(count, broken, prev_hash)
    stray = await repository.find_beyond_head(session)
    broken = f"entry {stray} was not written by Tocsin: the head does not know it" if stray else None
    return VerifyReport(count, broken, prev_hash)
