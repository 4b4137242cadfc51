"""Listing profiles, trying one on a request, giving one to a source, and showing what a source refused."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Invalid
from app.db.tenancy import TenantSession
from app.ingest.models import SourceSecretRow
from app.ingest.repository import profiles as repository
from app.ingest.repository.refusals import list_examples
from app.ingest.schemas import RefusalView
from app.ingest.service.proving import add_secret, choose_profile, compiled_profile
from app.ingest.service.shown import CreatedSource, created
from app.ingest.service.sources import get_source, list_refusals
from app.ingest.verification.schemas import (
    CapturedRequest,
    PreviewVerification,
    RefusedRequest,
    SenderView,
    SignatureProfileDetail,
    SignatureProfileView,
    SignedBytesView,
    SourceProfileView,
    SourceRefusals,
    VerificationPreview,
)
from app.net.keyring import KeyRing
from app.net.signing import (
    CompiledProfile,
    Refused,
    Secret,
    ShownCertificate,
    SignedRequest,
    get_profile,
    load_secret,
    shipped_profiles,
    stored_form,
    validate_secret,
)
from app.net.signing.certificates import pem_to_der
from app.net.signing.explain import expected_shapes, signed_bytes
from app.net.signing.keys import describe_secret
from app.net.signing.remote_keys import KeysUnavailable, RemoteKeys

_EXPLAINED: Mapping[str, str] = {
    "missing": "What must prove the sender is not there: the header, the timestamp or the id.",
    "challenged": "No user and password yet; a sender may wait to be asked for them, and sends them with the next request.",
    "malformed": "It is there, but not in the one spelling that counts, twice, or too long.",
    "mismatch": "It is well formed, but was not made with this secret over these bytes.",
    "skew": "The signature holds, but the time it was made at is too old, too early, or over.",
    "no_secret": "The source holds no secret that is valid now.",
    "claim": "The sender names another issuer, audience, topic, subject or claim than the source believes.",
    "unknown_key": "The key that is said to have signed is not among the published ones.",
    "untrusted": "An address in the message, or the certificate, is not the sender's own, or came from no trusted proxy.",
    "not_configured": "The installation lacks a setting: the public URL, or the proxy's certificate header.",
    "keys_unavailable": "The sender's public keys cannot be fetched at the moment; deliveries are asked to come back.",
}


class CapturedRequestInvalid(Invalid):
    """The captured request is none."""

    code = "source.captured_request_invalid"
    title = "The captured request cannot be used"


def list_profiles(*, sender: str | None = None) -> list[SignatureProfileView]:
    """This will return the shipped profiles, strongest first; with ``sender`` those that such a product can use."""
    wanted = (sender or "").strip().lower()
    found = [
        compiled
        for compiled in shipped_profiles().values()
        if not wanted or any(wanted in each.name.lower() for each in compiled.profile.senders)
    ]
    return [_view(compiled) for compiled in sorted(found, key=lambda one: (one.strength.rank, one.slug))]


def show_profile(slug: str) -> SignatureProfileDetail:
    """This will return one shipped profile with its document.

    Raises:
        ProfileNotFound: There is none of this slug.
    """
    compiled = get_profile(slug)
    document = compiled.profile.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return SignatureProfileDetail(**_view(compiled).model_dump(), document=document)


async def preview_verification(
    wanted: PreviewVerification, *, keys: RemoteKeys, public_url: str, now: datetime, tenant: Hashable = None
) -> VerificationPreview:
    """This will judge a captured request as the intake route would, and say why; nothing is stored.

    Args:
        keys: Published keys; those of trials, not the intake's.
        tenant: Who tries it; None where nobody else does, as at the command line.

    Raises:
        ProfileNotFound: There is no such shipped profile.
        InvalidProfile: The document does not load.
        InvalidSecret: A secret would not be saved either.
        CapturedRequestInvalid: The request is none.
    """
    compiled = compiled_profile(wanted.profile)
    request = _request_of(wanted.request, public_url)
    secrets = [_load(compiled, text, index) for index, text in enumerate(wanted.secrets)]
    try:
        verdict = await keys.verify(compiled, request, secrets, wanted.now or now, tenant=tenant)
    except KeysUnavailable as error:
        reason: str | None = error.code.partition(".")[2]
    else:
        reason = verdict.reason.value if isinstance(verdict, Refused) else None
    shown = signed_bytes(compiled, request)
    preview = VerificationPreview(
        verified=reason is None,
        reason=reason,
        explanation=_EXPLAINED[reason] if reason is not None else "The request verifies.",
        strength=compiled.strength.value,
        signed=SignedBytesView.model_validate(shown) if shown is not None else None,
        expects=expected_shapes(compiled),
    )
    if reason is None and not isinstance(verdict, Refused):
        return preview.model_copy(update={"delivery_id": verdict.delivery_id, "sent_at": verdict.timestamp})
    return preview


async def set_profile(
    session: TenantSession,
    *,
    keyring: KeyRing,
    source_id: UUID,
    profile: str | Mapping[str, Any],
    secret: str | None,
    actor: Actor,
    now: datetime,
) -> CreatedSource:
    """This will give a source another profile and a secret that fits it; its old secrets end at once.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
        ProfileNotFound: There is no such shipped profile.
        InvalidProfile: The document does not load, or gives the secret away.
        InvalidSecret: The given secret would protect nothing, or is in no form that fits.
        SecretNotGenerated: The secret has to come from the sender.
    """
    row = await get_source(session, source_id=source_id, lock=True)
    chosen = choose_profile(profile, secret=secret)
    row.profile = chosen.slug
    await chosen.keep(session, row, now)
    # A secret of the old profile is in another form, and may be weaker than what the new one promises.
    await session.execute(
        delete(SourceSecretRow).where(
            SourceSecretRow.tenant_id == session.tenant_id, SourceSecretRow.source_id == row.id
        )
    )
    made = await add_secret(session, row, chosen.compiled, keyring, secret, now)
    row.updated_at = now
    await session.flush()
    await record(
        session, actor=actor, action="source.profile_set", subject=f"source:{row.id}", detail=chosen.facts(), now=now
    )
    return created(row, chosen.compiled, made)


async def show_source_profile(session: TenantSession, *, source_id: UUID) -> SourceProfileView:
    """This will return how a source's sender proves itself.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
        InvalidProfile: Its own profile does not load any more; it refuses everything.
    """
    row = await get_source(session, source_id=source_id)
    compiled = await repository.profile_of_source(session, row)
    return SourceProfileView(
        profile=compiled.slug,
        strength=compiled.strength.value,
        rank=compiled.strength.rank,
        secret=describe_secret(compiled),
        expects=expected_shapes(compiled),
        document=await repository.find_document(session, source_id=source_id),
    )


async def show_refusals(session: TenantSession, *, source_id: UUID, now: datetime) -> SourceRefusals:
    """This will return what a source refused or flagged lately.

    Raises:
        SourceNotFound: Not there, deleted, or another tenant's.
    """
    await get_source(session, source_id=source_id)
    counts = await list_refusals(session, source_id=source_id, now=now)
    examples = await list_examples(session, source_id=source_id)
    return SourceRefusals(
        counts=[RefusalView.model_validate(count) for count in counts],
        recent=[RefusedRequest.model_validate(example) for example in examples],
    )


def _view(compiled: CompiledProfile) -> SignatureProfileView:
    profile = compiled.profile
    return SignatureProfileView(
        slug=profile.slug,
        title=profile.title,
        kind=profile.kind.value if profile.plugin is None else f"plugin:{profile.plugin}",
        strength=compiled.strength.value,
        rank=compiled.strength.rank,
        specification=profile.source,
        secret=describe_secret(compiled),
        expects=expected_shapes(compiled),
        senders=[SenderView.model_validate(sender) for sender in profile.senders],
    )


def _load(compiled: CompiledProfile, text: str, index: int) -> Secret:
    validate_secret(compiled, text)
    return load_secret(compiled, stored_form(compiled, text), secret_id=str(index))


def _request_of(captured: CapturedRequest, public_url: str) -> SignedRequest:
    path, _, query = captured.path.partition("?")
    try:
        body = _body_of(captured)
        headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in captured.headers]
        method, query_string = captured.method.upper().encode("ascii").decode(), query.encode("latin-1")
    except (binascii.Error, UnicodeEncodeError):
        raise CapturedRequestInvalid("header names and the method are ASCII, body_b64 is base64") from None
    certificate = ShownCertificate(pem_to_der(captured.certificate)) if captured.certificate is not None else None
    origin = (captured.origin if captured.origin is not None else public_url).rstrip("/")
    return SignedRequest(method, path, query_string, headers, body, origin, certificate)


def _body_of(captured: CapturedRequest) -> bytes:
    if captured.body_b64 is not None:
        return base64.b64decode(captured.body_b64.encode("ascii"), validate=True)
    return (captured.body or "").encode("utf-8", "surrogatepass")
