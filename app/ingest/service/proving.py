"""How a source's sender is to prove itself: a profile, shipped or its tenant's own, and a secret that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.errors import Conflict
from app.core.ids import new_id
from app.db.conflicts import refused_by
from app.db.tenancy import TenantSession
from app.ingest.contract import SenderKey
from app.ingest.models import SourceRow, SourceSecretRow
from app.ingest.repository import profiles as repository
from app.ingest.rules.requests import secret_context
from app.ingest.service.shown import MadeSecret
from app.ingest.sources import get_source as get_kind
from app.net.keyring import KeyRing
from app.net.signing import (
    CompiledProfile,
    InvalidProfile,
    InvalidSecret,
    custom_slug,
    generate_secret,
    get_profile,
    load_custom,
    stored_form,
    validate_secret,
)


class SourceKeyTaken(Conflict):
    """A key finds one source only."""

    code = "source.key_taken"
    title = "This key belongs to a source already"
    hint = "Retire the other source's key first, or let Tocsin make a new one."


@dataclass(frozen=True)
class ChosenProfile:
    """A profile that a source may have.

    Attributes:
        document: As the tenant wrote it; None for a shipped one.
    """

    compiled: CompiledProfile
    document: Mapping[str, Any] | None = None

    @property
    def slug(self) -> str:
        """What ``sources.profile`` says of it."""
        return self.compiled.slug if self.document is None else custom_slug(self.compiled)

    def facts(self) -> dict[str, Any]:
        """This will return what the audit trail says of it."""
        return {
            "profile": self.compiled.slug,
            "strength": self.compiled.strength.value,
            "own": self.document is not None,
        }

    async def keep(self, session: TenantSession, row: SourceRow, now: datetime) -> None:
        """This will keep the document beside its source, or forget the one that was there."""
        if self.document is None:
            await repository.forget_document(session, source_id=row.id)
            return
        strength = self.compiled.strength.value
        await repository.save_document(session, source_id=row.id, document=self.document, strength=strength, now=now)


def compiled_profile(profile: str | Mapping[str, Any]) -> CompiledProfile:
    """This will return the shipped profile of a slug, or the one that a document describes.

    Raises:
        ProfileNotFound: There is no such shipped profile.
        InvalidProfile: The document does not load.
    """
    return get_profile(profile) if isinstance(profile, str) else load_custom(profile)


def choose_profile(profile: str | Mapping[str, Any], *, secret: str | None) -> ChosenProfile:
    """This will return the profile for a source that is to hold ``secret``.

    Raises:
        ProfileNotFound: There is no such shipped profile.
        InvalidProfile: The document does not load, or gives the secret away.
    """
    compiled = compiled_profile(profile)
    if isinstance(profile, str):
        return ChosenProfile(compiled)
    if secret is not None and any(secret in vector.secrets for vector in compiled.profile.vectors):
        raise InvalidProfile("the vectors hold the source's secret; they are shown to others, so make one up for them")
    return ChosenProfile(compiled, profile)


async def add_secret(
    session: TenantSession,
    row: SourceRow,
    profile: CompiledProfile,
    keyring: KeyRing,
    given: str | None,
    now: datetime,
) -> MadeSecret:
    """This will make a source's secret, or take the given one.

    Raises:
        InvalidSecret: The given secret would protect nothing, or is in no form that fits.
        SecretNotGenerated: The secret has to come from the sender.
        SourceKeyTaken: The given secret is the key of another source.
    """
    key = _key_of(row, profile)
    text = given if given is not None else _new_secret(row, profile, key)
    validate_secret(profile, text)
    if key is not None and key.pattern.fullmatch(text) is None:
        raise InvalidSecret(f"senders of this kind take for a key {key.says} only")
    row_of_secret = SourceSecretRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        source_id=row.id,
        ciphertext=keyring.encrypt(stored_form(profile, text), context=secret_context(row.tenant_id, row.id)),
        created_at=now,
        lookup=keyring.lookup(text) if key is not None else None,
    )
    async with refused_by(session, "uq_source_secrets_lookup", SourceKeyTaken("the key finds another source already")):
        session.add(row_of_secret)
    return MadeSecret(row_of_secret.id, text if profile.hands_out_secret else None)


def _key_of(row: SourceRow, profile: CompiledProfile) -> SenderKey | None:
    """What the sender's key must look like; a profile other than the kind's own has the sender come by the address."""
    of_kind = get_kind(row.kind)
    return of_kind.key if profile.slug == of_kind.profile else None


def _new_secret(row: SourceRow, profile: CompiledProfile, key: SenderKey | None) -> str:
    of_kind = get_kind(row.kind)
    of_its_own = of_kind.make_secret if profile.slug == of_kind.profile else None
    make = key.make if key is not None else of_its_own
    return make() if make is not None else generate_secret(profile)
