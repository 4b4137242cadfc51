"""``/v1/signature-profiles``, and what of ``/v1/sources`` is about proofs and refusals."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.auth.deps import Engineer, EngineerWrite, TenantTx, Viewer
from app.core.resources import Resources
from app.http.clock import Now
from app.http.problem import problem_responses
from app.ingest.endpoints import SHOWN_ONCE, with_secret
from app.ingest.proofs import TrialKeys, keys_of_process
from app.ingest.schemas import CreatedSourceView
from app.ingest.service import SourceNotFound
from app.ingest.verification import service
from app.ingest.verification.schemas import (
    PreviewVerification,
    SetProfile,
    SignatureProfileDetail,
    SignatureProfiles,
    SourceProfileView,
    SourceRefusals,
    VerificationPreview,
)
from app.net.keyring import KeyRing
from app.net.signing import InvalidProfile, InvalidSecret, ProfileNotFound, SecretNotGenerated
from app.settings import Settings

router = APIRouter(prefix="/v1", tags=["ingest"])


@router.get("/signature-profiles", summary="List how senders can prove themselves, strongest first")
async def list_signature_profiles(
    principal: Viewer,
    sender: Annotated[str | None, Query(max_length=80, description="Part of a product's name.")] = None,
) -> SignatureProfiles:
    return SignatureProfiles(items=service.list_profiles(sender=sender))


@router.get(
    "/signature-profiles/{slug}",
    summary="One signature profile with its document",
    responses=problem_responses(ProfileNotFound),
)
async def get_signature_profile(
    principal: Viewer, slug: Annotated[str, Path(max_length=50, pattern="^[a-z0-9_]+$")]
) -> SignatureProfileDetail:
    return service.show_profile(slug)


@router.post(
    "/sources/preview-verification",
    summary="Try a profile and a secret on a captured request; nothing is stored",
    responses=problem_responses(ProfileNotFound, InvalidProfile, InvalidSecret, service.CapturedRequestInvalid),
)
async def preview_verification(
    principal: Engineer, request: Request, body: PreviewVerification, now: Now
) -> VerificationPreview:
    # No transaction: published keys may have to be fetched.
    resources: Resources = request.app.state.resources
    public_url = resources.get(Settings).ingest.public_url
    return await service.preview_verification(
        body, keys=keys_of_process(resources, TrialKeys), tenant=principal.tenant_id, public_url=public_url, now=now
    )


@router.put(
    "/sources/{source_id}/profile",
    response_model=CreatedSourceView,
    summary="Give a source another profile; its secrets are replaced at once",
    responses=problem_responses(SourceNotFound, ProfileNotFound, InvalidProfile, InvalidSecret, SecretNotGenerated),
)
async def set_source_profile(write: EngineerWrite, source_id: UUID, body: SetProfile) -> Response:
    async def produce() -> CreatedSourceView:
        made = await service.set_profile(
            write.session,
            keyring=write.resources.get(KeyRing),
            source_id=source_id,
            profile=body.profile,
            secret=body.secret,
            actor=write.actor,
            now=write.now,
        )
        return with_secret(made, write.resources, write.now)

    return await write.answer(produce, without=SHOWN_ONCE)


@router.get(
    "/sources/{source_id}/profile",
    summary="How a source's sender proves itself",
    responses=problem_responses(SourceNotFound, InvalidProfile),
)
async def get_source_profile(principal: Engineer, session: TenantTx, source_id: UUID) -> SourceProfileView:
    return await service.show_source_profile(session, source_id=source_id)


@router.get(
    "/sources/{source_id}/refusals",
    summary="What a source refused lately, and why",
    responses=problem_responses(SourceNotFound),
)
async def get_source_refusals(principal: Viewer, session: TenantTx, source_id: UUID, now: Now) -> SourceRefusals:
    return await service.show_refusals(session, source_id=source_id, now=now)
