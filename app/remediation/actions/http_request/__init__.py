"""``http.request``: one call that changes something at an HTTP service.

Repeat class: declared. ``keyed`` sends the effect's key as ``Idempotency-Key`` and is for services that absorb a
second call with the same key; ``idempotent`` is for calls that set an absolute value; everything else is sent at most
once, and an unclear answer is left to a person.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from app.remediation.contract import (
    ActionSpec,
    ActionTarget,
    HttpAnswer,
    NotApplied,
    Repeat,
    Unreachable,
    WriteAction,
    WriteContext,
)
from app.remediation.rules.connections import HttpConnection
from app.remediation.rules.paths import relative_path
from app.remediation.rules.spec import Risk

MAX_BYTES = 65_536


class Params(BaseModel, extra="forbid"):
    """The call."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: Annotated[str, AfterValidator(relative_path)]
    json_body: Any = Field(None, alias="json", description="The body, sent as JSON; nothing where it is left out.")
    repeat: Literal["once", "keyed", "idempotent"] = "once"


class Output(BaseModel):
    status: int
    size_bytes: int = Field(0, description="Of the answer. Its text is not kept: an act reads nothing out.")


class Unclear(Exception):
    """The service answered with an error after it may have done something."""


async def run(ctx: WriteContext, params: Params) -> Output:
    connection = ctx.target.connection
    if not isinstance(connection, HttpConnection):
        raise NotApplied("the target is not an HTTP service")
    try:
        answer = await ctx.http.request(
            params.method,
            connection.base_url + params.path,
            headers=_headers(ctx, params),
            json=params.json_body,
            timeout_s=ctx.timeout_s,
            max_bytes=MAX_BYTES,
        )
    except Unreachable as error:
        if not error.sent:
            raise NotApplied(str(error)) from error
        raise
    return _judged(answer)


def _judged(answer: HttpAnswer) -> Output:
    if 200 <= answer.status < 300:
        return Output(status=answer.status, size_bytes=len(answer.body))
    # A redirect that says "look there" often follows a form that was taken; only 307 and 308 ask for the same call again.
    if answer.status in (307, 308) or 400 <= answer.status < 500:
        raise NotApplied(f"the service refused with {answer.status}")
    raise Unclear(f"the service answered {answer.status}")


def _headers(ctx: WriteContext, params: Params) -> dict[str, str]:
    return ctx.target.bearer() | ({"idempotency-key": ctx.effect_key} if params.repeat == "keyed" else {})


def dry_run(target: ActionTarget, params: Params) -> str:
    connection = target.connection
    base = connection.base_url if isinstance(connection, HttpConnection) else target.name
    return f"would send {params.method} {base}{params.path}"


def repeat(params: Params) -> Repeat:
    return {"once": Repeat.AT_MOST_ONCE, "keyed": Repeat.KEYED, "idempotent": Repeat.IDEMPOTENT}[params.repeat]


ACTION = WriteAction(
    spec=ActionSpec(
        slug="http.request",
        about="Sends one changing request to an HTTP service.",
        params=Params,
        output=Output,
        risk=Risk.ONCE,
        target_kind="http",
    ),
    run=run,
    dry_run=dry_run,
    repeat=repeat,
)
