"""``/v1/sources/{source_id}/time-travel`` and ``/v1/time-travel``."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from app.auth.deps import EngineerWrite, TenantTx, Viewer
from app.db.jobs.queue import enqueue
from app.http.pagination import CursorPage, InvalidCursor, PageParams
from app.http.problem import problem_responses
from app.ingest.service import SourceConfigInvalid, SourceNotFound
from app.ingest.trials import service
from app.ingest.trials.jobs import RunTrial
from app.ingest.trials.schemas import TrialRequest, TrialView

router = APIRouter(prefix="/v1", tags=["ingest"])


@router.post(
    "/sources/{source_id}/time-travel",
    status_code=202,
    response_model=TrialView,
    summary="Try other settings on the deliveries of the past; nothing is changed",
    responses=problem_responses(
        SourceNotFound, SourceConfigInvalid, service.TrialStretchInvalid, service.TrialsWaiting
    ),
)
async def ask_trial(write: EngineerWrite, source_id: UUID, body: TrialRequest) -> Response:
    async def produce() -> TrialView:
        trial = await service.ask_trial(
            write.session, source_id=source_id, request=body, actor=write.actor, now=write.now
        )
        await enqueue(write.session, RunTrial(trial_id=trial.id), unique_key=str(trial.id))
        return trial

    return await write.answer(produce, status=202)


@router.get(
    "/sources/{source_id}/time-travel",
    summary="List a source's trials, newest first",
    responses=problem_responses(SourceNotFound, InvalidCursor),
)
async def list_trials(principal: Viewer, session: TenantTx, source_id: UUID, page: PageParams) -> CursorPage[TrialView]:
    found = await service.list_trials(session, source_id=source_id, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda trial: trial.id)


@router.get(
    "/time-travel/{trial_id}",
    summary="A trial and what would have been different",
    responses=problem_responses(service.TrialNotFound),
)
async def get_trial(principal: Viewer, session: TenantTx, trial_id: UUID) -> TrialView:
    return await service.get_trial(session, trial_id=trial_id)
