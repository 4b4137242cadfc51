"""A small application in the real frame, so that its rules are shown without any domain."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from app.core.resources import Resources
from app.http.middleware import Frame
from app.http.pagination import CursorPage, PageParams
from app.http.problem import install
from app.settings import Settings

MAX_BODY = 2_000
TIMEOUT_S = 0.3


class Note(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=500)


async def as_tenant(request: Request) -> None:
    """Stands in for authentication: the tenant is whoever the header says."""
    request.state.tenant_id = request.headers.get("x-tenant", "")


def framed(resources: Resources, *, timeout_s: float = TIMEOUT_S, https_only: bool = False) -> tuple[FastAPI, Frame]:
    """This will return the inner application, to add routes to, and the framed one, to talk to."""
    api = FastAPI(redirect_slashes=False)
    api.state.resources = resources
    install(api)
    api.add_api_route("/v1/notes", _post, methods=["POST"], status_code=201)
    api.add_api_route("/v1/notes", _page, methods=["GET"])
    api.add_api_route("/v1/others", _page, methods=["GET"])
    api.add_api_route("/v1/slow", _slow, methods=["GET"])
    api.add_api_route("/v1/stream", _stream, methods=["GET"])
    return api, Frame(api, max_body_bytes=MAX_BODY, timeout_s=timeout_s, https_only=https_only)


def client_of(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://tocsin.test")


def bare_resources() -> Resources:
    """Resources that hold settings only: for what needs no database."""
    resources = Resources()
    resources.provide(Settings, Settings(_env_file=None))
    return resources


async def _post(body: Note) -> Note:
    return body


# The page stands before the tenant, as it may in any endpoint: binding must not depend on the order of parameters.
async def _page(
    page: PageParams, tenant: Annotated[None, Depends(as_tenant)], kind: str = "all", total: int = 10
) -> CursorPage[int]:
    after = page.after if page.after is not None else 0
    return page.build(list(range(after + 1, min(total, after + page.limit + 1) + 1)), key=lambda item: item)


async def _slow() -> Response:
    await asyncio.Event().wait()
    return Response()


async def _stream() -> StreamingResponse:
    async def parts() -> Any:
        yield b"first "
        await asyncio.sleep(TIMEOUT_S * 2)
        yield b"last"

    return StreamingResponse(parts(), media_type="text/event-stream")
