"""What effects go to: services that a runbook restarts. Every request is written down; some are answered badly."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass(frozen=True)
class Call:
    """One request that changes something.

    Attributes:
        service: ``<tag>/<name>``, one for each effect that is expected.
        key: Its Idempotency-Key, which only *keyed* services look at.
    """

    service: str
    key: str


@dataclass
class Sink:
    """Any number of services, each broken until it is restarted.

    Attributes:
        moody: Chance that a restart is done but answered 500, or not before the caller has given up.
    """

    rng: random.Random = field(default_factory=random.Random)
    moody: float = 0.0
    hang_s: float = 3.0
    calls: list[Call] = field(default_factory=list)

    def of(self, service: str) -> list[Call]:
        return [call for call in self.calls if call.service == service]

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/{tag}/{name}/health", self._health, methods=["GET"]),
                Route("/{tag}/{name}/restart", self._restart, methods=["POST"]),
            ]
        )

    async def _health(self, request: Request) -> Response:
        healthy = self.of(_service(request)) != []
        return JSONResponse({"ok": healthy}, status_code=200 if healthy else 503)

    async def _restart(self, request: Request) -> Response:
        self.calls.append(Call(_service(request), request.headers.get("idempotency-key", "")))
        if self.rng.random() < self.moody:
            if self.rng.random() < 0.5:
                await asyncio.sleep(self.hang_s)
            return JSONResponse({"error": "after the fact"}, status_code=500)
        return JSONResponse({"restarted": True})


def _service(request: Request) -> str:
    return f"{request.path_params['tag']}/{request.path_params['name']}"
