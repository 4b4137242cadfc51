"""Four eyes by what tokens show of who holds them.

The rule: a token does not agree to a run when

- it made, itself or through tokens that it made, the token that started the run, or was made by it in this way;
- the same holds between it and a token that has decided on the question already;
- it was made after the run began.

So an admin cannot make the second pair of eyes, neither for the run at hand nor, with the token that he works with, in
advance. Two tokens with a common maker do agree to each other's runs: the first admin token of a tenant has made
everybody's, and without this nobody could agree to anything. That is why everybody, the first admin too, works with a
token of his own, and the first one only makes tokens: it is above all others, and so agrees to nobody's run.

What it cannot see: there are tokens and no persons. Whoever keeps two tokens that were made beforehand by a third, or
borrows a colleague's, has two votes; an operator of the platform makes tokens that nobody here made. A run that a rule
began has no starter, so whoever wrote the rule may agree to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from app.auth.lineage import Origin, origin_of
from app.core.actor import Actor, ActorKind
from app.db.tenancy import TenantSession
from app.remediation.models import RunRow


async def refuse_hand(
    session: TenantSession, *, run: RunRow, given: Iterable[Mapping[str, Any]], approver: Actor
) -> str | None:
    """This will return why this token's consent would not be another person's, as far as tokens show, or None."""
    if approver.kind is not ActorKind.TOKEN:
        return None
    own = await origin_of(session, token_id=UUID(approver.id))
    if own is None or not own.whole:
        return "The line of tokens that made this one is too long to be followed."
    if own.made_at > run.created_at:
        return "This token was made after the run began; an older one is needed."
    if await _is_one_hand(session, approver.id, own, run.started_by, said_by="id"):
        return "This token and the one that started the run come from one another; another person is needed."
    for entry in given:
        if await _is_one_hand(session, approver.id, own, entry, said_by="by"):
            return "This token and one that has decided already come from one another; another person is needed."
    return None


async def _is_one_hand(
    session: TenantSession, approver_id: str, own: Origin, other: Mapping[str, Any], *, said_by: str
) -> bool:
    if other.get("kind") != ActorKind.TOKEN.value:
        return False
    other_id = str(other[said_by])
    if other_id in own.makers:
        return True
    origin = await origin_of(session, token_id=UUID(other_id))
    return origin is not None and (not origin.whole or approver_id in origin.makers)
