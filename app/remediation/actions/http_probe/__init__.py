"""``http.probe``: a GET that says whether a service answers as it should. A service that is down is an answer too."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from app.remediation.contract import ActionSpec, ReadAction, ReadContext, ReadFailed, Unreachable
from app.remediation.rules.connections import HttpConnection
from app.remediation.rules.paths import relative_path
from app.remediation.rules.spec import Risk

MAX_BYTES = 65_536


class Params(BaseModel, extra="forbid"):
    """What to ask for, and what a healthy answer is."""

    path: Annotated[str, AfterValidator(relative_path)] = "/"
    status: int = Field(200, ge=100, le=599)
    contains: str | None = Field(None, max_length=200, description="Text that a healthy body holds.")


class Output(BaseModel):
    """``up`` is True only for the wanted status and text. ``status`` is absent when nothing answered."""

    up: bool
    status: int | None = None
    duration_ms: float
    error: str | None = None
    size_bytes: int | None = Field(None, description="Of the answer. Its text is not kept: a probe reads nothing out.")


async def run(ctx: ReadContext, params: Params) -> Output:
    connection = ctx.target.connection
    if not isinstance(connection, HttpConnection):
        raise ReadFailed("the target is not an HTTP service")
    url, headers = connection.base_url + params.path, ctx.target.bearer()
    started = time.monotonic()
    try:
        answer = await ctx.http.get(url, headers=headers, timeout_s=ctx.timeout_s, max_bytes=MAX_BYTES)
    except Unreachable as error:
        return Output(up=False, duration_ms=_ms(started), error=str(error)[:500])
    text = answer.body.decode("utf-8", "replace")
    up = answer.status == params.status and (params.contains is None or params.contains in text)
    return Output(up=up, status=answer.status, duration_ms=_ms(started), size_bytes=len(answer.body))


def _ms(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


ACTION = ReadAction(
    spec=ActionSpec(
        slug="http.probe",
        about="Asks an HTTP service whether it is well.",
        params=Params,
        output=Output,
        risk=Risk.READ,
        target_kind="http",
    ),
    run=run,
)
