"""The API process: ``uvicorn app.main:create_app --factory``.

In front of FastAPI stands one dispatch: ``/in/`` goes to the ingest application, which verifies and commits without the
framework in between, and so do the paths of services that senders were made for; everything else goes through the frame
(ids, spans, metrics, caps) into FastAPI.
"""

from __future__ import annotations

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import create_api
from app.core import failpoints
from app.core.heap import settle_heap
from app.core.resources import Resources
from app.db.engine import Database
from app.db.roles import assert_safe_roles
from app.http.middleware import Frame, headers_too_large
from app.http.problem import frame_problem
from app.ingest.dropin.app import DropInApp
from app.ingest.hot import IngestApp
from app.observability.logging import configure_logging
from app.observability.metrics import MetricsServer, serve_metrics
from app.observability.tracing import configure_tracing, shutdown_tracing
from app.settings import Settings
from app.settings.production import refuse_weak_settings
from app.wiring import build_resources, close_resources

log = structlog.get_logger(__name__)

INGEST_PREFIX = "/in/"


class Application:
    """The process's ASGI application.

    Attributes:
        api: FastAPI, for its OpenAPI document and its state.
    """

    def __init__(self, settings: Settings, resources: Resources) -> None:
        self._settings = settings
        self._resources = resources
        self._metrics: MetricsServer | None = None
        self.api = create_api(resources, interactive=settings.environment == "development")
        self._ingest = IngestApp(resources)
        self._dropin = DropInApp(resources, self._ingest.answer)
        self._framed: ASGIApp = Frame(
            self.api,
            max_body_bytes=settings.http.max_body_bytes,
            timeout_s=settings.http.request_timeout_s,
            https_only=settings.http.public_url.startswith("https://"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._target(scope)(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    def _target(self, scope: Scope) -> ASGIApp:
        if scope["path"].startswith(INGEST_PREFIX):
            target: ASGIApp = self._ingest
        elif DropInApp.serves(scope["path"]):
            target = self._dropin
        else:
            return self._framed
        return frame_problem(431, request_id="") if headers_too_large(scope) else target

    @property
    def metrics_port(self) -> int | None:
        """The port that metrics are served on, once started; it differs from the setting where that was busy."""
        return self._metrics.port if self._metrics is not None else None

    async def start(self) -> None:
        """This will check the database roles and open the metrics port."""
        await assert_safe_roles(self._resources.get(Database))
        telemetry = self._settings.telemetry
        self._metrics = serve_metrics(telemetry.metrics_host, self._settings.http.metrics_port)
        log.info("api.started", metrics_port=self._metrics.port)

    async def stop(self) -> None:
        """This will finish what is committed, then close everything, whether or not the start succeeded."""
        await self.settle()
        await close_resources(self._resources)
        if self._metrics is not None:
            self._metrics.close()
        # Exporting the last spans blocks for up to the export's time-out; nothing else runs on the loop by now.
        shutdown_tracing()
        log.info("api.stopped")

    async def settle(self) -> None:
        """This will finish what the intake has begun, and leave nothing of it running."""
        await self._ingest.aclose()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as error:  # noqa: BLE001 - the outermost frame of start-up: say it and do not serve
            log.error("api.not_started", error=str(error), error_type=type(error).__name__)
            await self.stop()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        settle_heap()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def create_app(settings: Settings | None = None, resources: Resources | None = None) -> Application:
    """This will build the API process's application.

    Args:
        settings: Read from the environment by default.
        resources: Built from the settings by default; tests bring their own.

    Raises:
        WeakSettings: Production was asked for with secrets that are missing or weak.
    """
    own = settings or Settings()
    refuse_weak_settings(own)
    if resources is None:
        configure_logging(own.telemetry, process="api")
        configure_tracing(own.telemetry, process="api")
        failpoints.arm(own.failpoints)
    return Application(own, resources or build_resources(own))
