"""``/v1/sources``. The intake route itself is ``hot.py``; what became of deliveries is under ``receipts/``."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.auth.deps import Engineer, EngineerWrite, TenantTx, Viewer
from app.core.resources import Resources
from app.http.clock import Now
from app.http.pagination import CursorPage, PageParams
from app.http.problem import problem_responses
from app.ingest import service
from app.ingest.heartbeats.jobs import settle_source_soon
from app.ingest.schemas import (
    AddSecret,
    CreatedSourceView,
    Preview,
    PreviewRequest,
    RefusalView,
    RotateSecret,
    SecretView,
    SourceCreate,
    SourceDetail,
    SourceUpdate,
    SourceView,
)
from app.ingest.sources import UnknownSourceKind
from app.net.keyring import KeyRing
from app.net.signing import InvalidProfile, InvalidSecret, ProfileNotFound, SecretNotGenerated
from app.settings import Settings

router = APIRouter(prefix="/v1", tags=["ingest"])

# The address may carry the secret too, and the sample line is signed with it.
SHOWN_ONCE = frozenset({"secret", "url", "curl", "address"})


@router.post(
    "/sources",
    status_code=201,
    response_model=CreatedSourceView,
    summary="Create a source; its secret is shown this once",
    responses=problem_responses(
        UnknownSourceKind,
        ProfileNotFound,
        InvalidProfile,
        InvalidSecret,
        SecretNotGenerated,
        service.SourceConfigInvalid,
        service.SourceNameTaken,
        service.SourceKeyTaken,
    ),
)
async def create_source(write: EngineerWrite, body: SourceCreate) -> Response:
    async def produce() -> CreatedSourceView:
        keyring = write.resources.get(KeyRing)
        created = await service.create_source(
            write.session, keyring=keyring, actor=write.actor, now=write.now, **vars(body)
        )
        return with_secret(created, write.resources, write.now)

    return await write.answer(produce, status=201, without=SHOWN_ONCE)


@router.get("/sources", summary="List sources, newest first")
async def list_sources(
    principal: Viewer,
    session: TenantTx,
    page: PageParams,
    kind: Annotated[str | None, Query(max_length=50)] = None,
) -> CursorPage[SourceView]:
    rows = await service.list_sources(session, kind=kind, before=page.after_id, limit=page.limit + 1)
    return page.build(rows, key=lambda source: str(source.id))


@router.post(
    "/sources/preview",
    summary="Try a kind and its settings on a sample; nothing is stored",
    responses=problem_responses(UnknownSourceKind, service.SourceConfigInvalid),
)
async def preview_source(principal: Engineer, body: PreviewRequest, now: Now) -> Preview:
    return service.preview(body, now=now)


@router.get(
    "/sources/{source_id}",
    summary="One source with its secrets' dates and what it refused lately",
    responses=problem_responses(service.SourceNotFound),
)
async def get_source(principal: Viewer, session: TenantTx, source_id: UUID, now: Now) -> SourceDetail:
    row = await service.get_source(session, source_id=source_id)
    secrets = await service.list_secrets(session, source_id=source_id)
    refusals = await service.list_refusals(session, source_id=source_id, now=now)
    return SourceDetail(
        **service.view(row).model_dump(),
        secrets=[SecretView.model_validate(secret, from_attributes=True) for secret in secrets],
        refusals=[RefusalView.model_validate(refusal) for refusal in refusals],
    )


@router.patch(
    "/sources/{source_id}",
    response_model=SourceView,
    summary="Change a source",
    responses=problem_responses(service.SourceNotFound, service.SourceConfigInvalid, service.SourceNameTaken),
)
async def update_source(write: EngineerWrite, source_id: UUID, body: SourceUpdate) -> Response:
    # A null means "leave it" for every field but the time-out, whose null is a value.
    changes = {
        name: getattr(body, name)
        for name in body.model_fields_set
        if getattr(body, name) is not None or name == "resolve_timeout_s"
    }

    async def produce() -> SourceView:
        changed = await service.update_source(
            write.session, source_id=source_id, changes=changes, actor=write.actor, now=write.now
        )
        if "state" in changes:
            await settle_source_soon(write.session, source_id=source_id)
        return changed

    return await write.answer(produce)


@router.delete(
    "/sources/{source_id}",
    status_code=204,
    summary="Retire a source; its sender is told to stop",
    responses=problem_responses(service.SourceNotFound),
)
async def delete_source(write: EngineerWrite, source_id: UUID) -> Response:
    async def produce() -> None:
        await service.delete_source(write.session, source_id=source_id, actor=write.actor, now=write.now)
        await settle_source_soon(write.session, source_id=source_id)

    return await write.answer(produce, status=204)


@router.post(
    "/sources/{source_id}/rotate-secret",
    response_model=CreatedSourceView,
    summary="Make a new secret; the others stay valid for the overlap",
    responses=problem_responses(service.SourceNotFound, InvalidSecret, SecretNotGenerated, service.SourceKeyTaken),
)
async def rotate_secret(write: EngineerWrite, source_id: UUID, body: RotateSecret | None = None) -> Response:
    wanted = body or RotateSecret()
    default_s = write.resources.get(Settings).ingest.secret_overlap_s

    async def produce() -> CreatedSourceView:
        created = await service.rotate_secret(
            write.session,
            keyring=write.resources.get(KeyRing),
            source_id=source_id,
            actor=write.actor,
            now=write.now,
            overlap=timedelta(seconds=wanted.overlap_s if wanted.overlap_s is not None else default_s),
            secret=wanted.secret,
        )
        return with_secret(created, write.resources, write.now)

    return await write.answer(produce, without=SHOWN_ONCE)


@router.post(
    "/sources/{source_id}/secrets",
    status_code=201,
    response_model=CreatedSourceView,
    summary="Make another secret; it holds beside the others until it is revoked",
    responses=problem_responses(
        service.SourceNotFound, InvalidSecret, SecretNotGenerated, service.SourceKeyTaken, service.SourceSecretsFull
    ),
)
async def add_secret(write: EngineerWrite, source_id: UUID, body: AddSecret | None = None) -> Response:
    async def produce() -> CreatedSourceView:
        created = await service.add_another_secret(
            write.session,
            keyring=write.resources.get(KeyRing),
            source_id=source_id,
            actor=write.actor,
            now=write.now,
            secret=body.secret if body is not None else None,
        )
        return with_secret(created, write.resources, write.now)

    return await write.answer(produce, status=201, without=SHOWN_ONCE)


@router.delete(
    "/source-secrets/{secret_id}",
    status_code=204,
    summary="Revoke one secret of a source; the others hold on",
    responses=problem_responses(service.SourceSecretNotFound, service.SourceNotFound, service.LastSecret),
)
async def revoke_secret(write: EngineerWrite, secret_id: UUID) -> Response:
    return await write.answer(
        lambda: service.revoke_secret(write.session, secret_id=secret_id, actor=write.actor, now=write.now), status=204
    )


def with_secret(created: service.CreatedSource, resources: Resources, now: datetime) -> CreatedSourceView:
    """This will return what is shown of a new source or secret, this once."""
    public_url = resources.get(Settings).ingest.public_url.rstrip("/")
    return CreatedSourceView(
        source=created.source,
        secret_id=created.secret_id,
        secret=created.secret,
        url=f"{public_url}{created.url_path}",
        curl=created.curl(public_url=public_url, now=now),
        address=service.mail_address(created, resources.get(Settings).smtp),
    )
