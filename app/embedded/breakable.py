"""The demo's patient: a small HTTP service that can be broken, and mended by a restart."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class _Patient:
    def __init__(self) -> None:
        self.healthy = True
        self.restarts = 0

    async def health(self, request: Request) -> JSONResponse:
        body = {"status": "ok" if self.healthy else "broken", "restarts": self.restarts}
        return JSONResponse(body, status_code=200 if self.healthy else 503)

    async def break_it(self, request: Request) -> JSONResponse:
        self.healthy = False
        return JSONResponse({"status": "broken"})

    async def restart(self, request: Request) -> JSONResponse:
        self.healthy = True
        self.restarts += 1
        return JSONResponse({"status": "restarted", "restarts": self.restarts})


def create_breakable() -> Starlette:
    """This will return a fresh, healthy patient."""
    patient = _Patient()
    return Starlette(
        routes=[
            Route("/health", patient.health, methods=["GET"]),
            Route("/break", patient.break_it, methods=["POST"]),
            Route("/restart", patient.restart, methods=["POST"]),
        ]
    )


app = create_breakable()
