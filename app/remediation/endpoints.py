"""``/v1/runbooks``, ``/v1/targets``, ``/v1/runbook-rules`` and ``/v1/runs``."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.auth.deps import EngineerWrite, Principal, ResponderWrite, TenantTx, Viewer
from app.core.ids import RunId
from app.http.pagination import CursorPage, PageParams
from app.http.problem import problem_responses
from app.incidents.service import IncidentNotFound
from app.net.keyring import KeyRing
from app.remediation import service
from app.remediation.jobs import drive, start_run
from app.remediation.rules.states import Mode, RunState
from app.remediation.schemas import (
    ApprovalIn,
    CancelIn,
    RuleIn,
    RuleView,
    RunbookDetail,
    RunbookList,
    RunbookText,
    RunbookValidation,
    RunDetail,
    RunStart,
    RunView,
    TargetIn,
    TargetView,
)
from app.remediation.service import approvals
from app.remediation.service.cancelling import cancel_run
from app.remediation.service.reading import lock_run
from app.remediation.service.rules import RuleInvalid, RuleNameTaken
from app.remediation.service.runbooks import RunbookNameReserved, RunbookVersionExists
from app.remediation.service.targets import ConnectionInvalid, TargetInUse, TargetNameTaken
from app.settings import Settings

router = APIRouter(prefix="/v1", tags=["remediation"])

_TARGET_PROBLEMS = problem_responses(service.TargetNotFound, TargetNameTaken, ConnectionInvalid)
_RULE_PROBLEMS = problem_responses(service.RuleNotFound, RuleNameTaken, RuleInvalid, service.RunbookNotFound)
_START_PROBLEMS = problem_responses(service.RunbookNotFound, IncidentNotFound, service.RunNotStarted)
_APPROVAL_PROBLEMS = problem_responses(
    service.RunNotFound, approvals.NothingToApprove, approvals.PlanChanged, approvals.ApproverNotAllowed
)


@router.get("/runbooks", summary="List the shipped runbooks and the tenant's own, newest versions")
async def list_runbooks(principal: Viewer, session: TenantTx) -> RunbookList:
    return RunbookList(items=await service.list_runbooks(session))


@router.post(
    "/runbooks",
    status_code=201,
    response_model=RunbookDetail,
    summary="Store a version of a runbook",
    responses=problem_responses(service.RunbookInvalid, RunbookNameReserved, RunbookVersionExists),
)
async def create_runbook(write: EngineerWrite, body: RunbookText) -> Response:
    return await write.answer(
        lambda: service.create_runbook(write.session, source=body.source, actor=write.actor, now=write.now), status=201
    )


@router.post("/runbooks/validate", summary="Check a runbook's text without storing it")
async def validate_runbook(principal: Viewer, session: TenantTx, body: RunbookText) -> RunbookValidation:
    return await service.validate_runbook(session, source=body.source)


@router.get("/runbooks/{name}", summary="Read a runbook", responses=problem_responses(service.RunbookNotFound))
async def get_runbook(
    principal: Viewer, session: TenantTx, name: str, version: Annotated[int | None, Query(ge=1)] = None
) -> RunbookDetail:
    return await service.get_runbook(session, name=name, version=version)


@router.get("/targets", summary="List the inventory, newest first")
async def list_targets(principal: Viewer, session: TenantTx, page: PageParams) -> CursorPage[TargetView]:
    found = await service.list_targets(session, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda view: view.id)


@router.post("/targets", status_code=201, response_model=TargetView, summary="Add a target", responses=_TARGET_PROBLEMS)
async def create_target(write: EngineerWrite, body: TargetIn) -> Response:
    keyring = write.resources.get(KeyRing)
    return await write.answer(
        lambda: service.create_target(write.session, target=body, keyring=keyring, actor=write.actor, now=write.now),
        status=201,
    )


@router.get(
    "/targets/{target_id}",
    summary="Read a target, without its secret",
    responses=problem_responses(service.TargetNotFound),
)
async def get_target(principal: Viewer, session: TenantTx, target_id: UUID) -> TargetView:
    return await service.get_target(session, target_id=target_id)


@router.put("/targets/{target_id}", response_model=TargetView, summary="Replace a target", responses=_TARGET_PROBLEMS)
async def replace_target(write: EngineerWrite, target_id: UUID, body: TargetIn) -> Response:
    keyring = write.resources.get(KeyRing)
    return await write.answer(
        lambda: service.replace_target(
            write.session, target_id=target_id, target=body, keyring=keyring, actor=write.actor, now=write.now
        )
    )


@router.delete(
    "/targets/{target_id}",
    status_code=204,
    summary="Remove a target",
    responses=problem_responses(service.TargetNotFound, TargetInUse),
)
async def delete_target(write: EngineerWrite, target_id: UUID) -> Response:
    return await write.answer(
        lambda: service.delete_target(write.session, target_id=target_id, actor=write.actor, now=write.now), status=204
    )


@router.get("/runbook-rules", summary="List the rules that start runbooks, newest first")
async def list_rules(principal: Viewer, session: TenantTx, page: PageParams) -> CursorPage[RuleView]:
    found = await service.list_rules(session, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda view: view.id)


@router.post("/runbook-rules", status_code=201, response_model=RuleView, summary="Add a rule", responses=_RULE_PROBLEMS)
async def create_rule(write: EngineerWrite, body: RuleIn) -> Response:
    return await write.answer(
        lambda: service.create_rule(write.session, rule=body, actor=write.actor, now=write.now), status=201
    )


@router.get("/runbook-rules/{rule_id}", summary="Read a rule", responses=problem_responses(service.RuleNotFound))
async def get_rule(principal: Viewer, session: TenantTx, rule_id: UUID) -> RuleView:
    return await service.get_rule(session, rule_id=rule_id)


@router.put("/runbook-rules/{rule_id}", response_model=RuleView, summary="Replace a rule", responses=_RULE_PROBLEMS)
async def replace_rule(write: EngineerWrite, rule_id: UUID, body: RuleIn) -> Response:
    return await write.answer(
        lambda: service.replace_rule(write.session, rule_id=rule_id, rule=body, actor=write.actor, now=write.now)
    )


@router.delete(
    "/runbook-rules/{rule_id}",
    status_code=204,
    summary="Remove a rule",
    responses=problem_responses(service.RuleNotFound),
)
async def delete_rule(write: EngineerWrite, rule_id: UUID) -> Response:
    return await write.answer(
        lambda: service.delete_rule(write.session, rule_id=rule_id, actor=write.actor, now=write.now), status=204
    )


@router.get("/runs", summary="List runs, newest first")
async def list_runs(
    principal: Viewer,
    session: TenantTx,
    page: PageParams,
    incident_id: Annotated[UUID | None, Query(description="Runs of one incident.")] = None,
    runbook: Annotated[str | None, Query(max_length=80)] = None,
    state: Annotated[RunState | None, Query()] = None,
) -> CursorPage[RunView]:
    found = await service.list_runs(
        session,
        incident_id=incident_id,
        runbook=runbook,
        state=state,
        before=page.after_id,
        limit=page.limit + 1,
    )
    return page.build(found, key=lambda view: view.id)


@router.post(
    "/runs",
    status_code=201,
    response_model=RunView,
    summary="Start a run by hand; dry_run changes nothing",
    responses=_START_PROBLEMS,
)
async def start(write: ResponderWrite, body: RunStart) -> Response:
    async def produce() -> RunView:
        run = await start_run(
            write.session,
            request=_run_request(body),
            actor=write.actor,
            limits=write.resources.get(Settings).remediation,
            now=write.now,
        )
        return RunView.model_validate(run)

    return await write.answer(produce, status=201)


@router.get(
    "/runs/{run_id}",
    summary="Read a run: its frozen plan, and each step's input, output and time",
    responses=problem_responses(service.RunNotFound),
)
async def get_run(principal: Viewer, session: TenantTx, run_id: UUID) -> RunDetail:
    return await service.get_run(session, run_id=run_id)


@router.post(
    "/runs/{run_id}/cancel",
    response_model=RunView,
    summary="Stop a run before its next step",
    responses=problem_responses(service.RunNotFound, service.RunEnded),
)
async def cancel(write: ResponderWrite, run_id: UUID, body: CancelIn) -> Response:
    async def produce() -> RunView:
        run = await cancel_run(write.session, run_id=run_id, reason=body.reason, actor=write.actor, now=write.now)
        await drive(write.session, RunId(run.id))
        return RunView.model_validate(run)

    return await write.answer(produce)


@router.post(
    "/runs/{run_id}/approve",
    response_model=RunView,
    summary="Agree to one step of the plan, or say no",
    responses=_APPROVAL_PROBLEMS,
)
async def approve(write: ResponderWrite, run_id: UUID, body: ApprovalIn) -> Response:
    async def produce() -> RunView:
        run = await lock_run(write.session, run_id=run_id)
        goes_on = await approvals.decide(
            write.session,
            run=run,
            step_key=body.step,
            digest=body.plan_digest,
            approve=body.decision == "approve",
            approver=_approver(write.principal),
            reason=body.reason,
            now=write.now,
        )
        if goes_on:
            await drive(write.session, RunId(run.id))
        return RunView.model_validate(run)

    return await write.answer(produce)


def _run_request(body: RunStart) -> service.RunRequest:
    return service.RunRequest(
        runbook=body.runbook,
        version=body.version,
        incident_id=body.incident_id,
        targets=body.targets,
        inputs=body.inputs,
        mode=Mode.DRY_RUN if body.dry_run else Mode.AUTO,
    )


def _approver(principal: Principal) -> approvals.Approver:
    return approvals.Approver(actor=principal.actor, role=principal.role.value)
