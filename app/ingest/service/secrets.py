"""The secrets of a source: one or several that hold at once, rotated with an overlap, added and revoked one by one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict, NotFound
from app.db.tenancy import TenantSession
from app.ingest.models import SourceRow, SourceSecretRow
from app.ingest.repository import sources as repository
from app.ingest.repository.profiles import profile_of_source
from app.ingest.rules.requests import secret_context
from app.ingest.service.proving import add_secret
from app.ingest.service.shown import CreatedSource, created
from app.ingest.service.sources import get_source
from app.net.keyring import KeyRing, SecretUnreadable
from app.net.signing import CompiledProfile, InvalidSecret, stored_form


class SourceSecretNotFound(NotFound):
    """No secret of this id for this tenant."""

    code = "source.secret_not_found"
    title = "No such secret"


class SourceSecretsFull(Conflict):
    """A source holds few secrets: what it refuses costs as much as trying all that it may hold."""

    code = "source.secrets_full"
    title = "The source holds as many secrets as it may"
    hint = "Revoke one, or rotate, which ends the oldest."


class LastSecret(Conflict):
    """Without a secret that holds on, a source takes nothing any more, at once or when the last overlap ends."""

    code = "source.last_secret"
    title = "This is the source's only secret that holds on"
    hint = "Rotate with an overlap of 0, which ends it at once and makes another, or pause the source."


async def rotate_secret(
    session: TenantSession,
    *,
    keyring: KeyRing,
    source_id: UUID,
    actor: Actor,
    now: datetime,
    overlap: timedelta,
    secret: str | None = None,
) -> CreatedSource:
    """This will make a new secret in the place of all others, which stay valid for ``overlap`` at the most.

    An earlier end of an overlap under way stays; of more than the source may hold the oldest end at once.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
        InvalidSecret: The given secret would protect nothing.
        SecretNotGenerated: The secret has to come from the sender.
        SourceKeyTaken: The given secret is the key of another source.
    """
    row = await get_source(session, source_id=source_id, lock=True)
    profile = await profile_of_source(session, row)
    live = await repository.keep_live_secrets(session, source_id=row.id, now=now)
    _refuse_held(live, row, profile, keyring, secret)
    kept = live[: profile.most_secrets - 1] if overlap > timedelta(0) else []
    for held in kept:
        held.expires_at = min(held.expires_at or now + overlap, now + overlap)
    await repository.remove_secrets(session, [held.id for held in live[len(kept) :]])
    made = await add_secret(session, row, profile, keyring, secret, now)
    detail = {"overlap_s": int(overlap.total_seconds()), "secret_id": str(made.id)}
    await _changed(session, row, "secret_rotated", detail, actor, now)
    return created(row, profile, made)


async def add_another_secret(
    session: TenantSession,
    *,
    keyring: KeyRing,
    source_id: UUID,
    actor: Actor,
    now: datetime,
    secret: str | None = None,
) -> CreatedSource:
    """This will make a secret that holds beside the others, until it is revoked or rotated.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
        SourceSecretsFull: The source holds as many as it may.
        InvalidSecret: The given secret would protect nothing.
        SecretNotGenerated: The secret has to come from the sender.
        SourceKeyTaken: The given secret is the key of another source.
    """
    row = await get_source(session, source_id=source_id, lock=True)
    profile = await profile_of_source(session, row)
    live = await repository.keep_live_secrets(session, source_id=row.id, now=now)
    if len(live) >= profile.most_secrets:
        raise SourceSecretsFull(f"a source of the profile {profile.slug!r} holds at most {profile.most_secrets}")
    _refuse_held(live, row, profile, keyring, secret)
    made = await add_secret(session, row, profile, keyring, secret, now)
    await _changed(session, row, "secret_added", {"secret_id": str(made.id)}, actor, now)
    return created(row, profile, made)


async def revoke_secret(session: TenantSession, *, secret_id: UUID, actor: Actor, now: datetime) -> None:
    """This will end one secret of a source; the others hold on.

    Raises:
        SourceSecretNotFound: Not there, ended, or another tenant's.
        SourceNotFound: Its source is deleted.
        LastSecret: No other one of its source holds on.
    """
    found = await repository.find_secret(session, secret_id=secret_id)
    if found is None:
        raise SourceSecretNotFound(secret_id=str(secret_id))
    row = await get_source(session, source_id=found.source_id, lock=True)
    live = await repository.keep_live_secrets(session, source_id=row.id, now=now)
    if secret_id not in {held.id for held in live}:
        raise SourceSecretNotFound(secret_id=str(secret_id))
    if all(held.id == secret_id for held in live if held.expires_at is None):
        raise LastSecret(f"the source {row.id} would be left without one")
    await repository.remove_secrets(session, [secret_id])
    await _changed(session, row, "secret_revoked", {"secret_id": str(secret_id)}, actor, now)


async def list_secrets(session: TenantSession, *, source_id: UUID) -> Sequence[SourceSecretRow]:
    """This will return the secrets' dates, newest first."""
    return await repository.list_secrets(session, source_id=source_id)


def _refuse_held(
    live: Sequence[SourceSecretRow], row: SourceRow, profile: CompiledProfile, keyring: KeyRing, given: str | None
) -> None:
    """A secret twice would outlive its own rotation, and its own revocation."""
    if given is None:
        return
    wanted, context = stored_form(profile, given), secret_context(row.tenant_id, row.id)
    for held in live:
        # One that cannot be read verifies nothing either.
        with suppress(SecretUnreadable):
            if keyring.decrypt(held.ciphertext, context=context) == wanted:
                raise InvalidSecret("the source holds this secret already")


async def _changed(
    session: TenantSession, row: SourceRow, what: str, detail: dict[str, Any], actor: Actor, now: datetime
) -> None:
    row.updated_at = now
    await session.flush()
    await record(session, actor=actor, action=f"source.{what}", subject=f"source:{row.id}", detail=detail, now=now)
