"""Which paths of other services are served, where their keys stand, and what is behind them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote


class Api(StrEnum):
    """Whose API; also the label of the metric."""

    PAGERDUTY = "pagerduty"
    OPSGENIE = "opsgenie"
    ONCALL = "oncall"


@dataclass(frozen=True, slots=True)
class Route:
    """What a path leads to.

    Attributes:
        inner: The rest of the path behind ``/in/{source}``, percent-encoding kept.
        token: The key, where the path holds it.
        is_beat: It is the ping of a heartbeat.
    """

    api: Api
    inner: str
    token: str = ""
    is_beat: bool = False


PREFIXES = ("/v2/", "/generic/", "/integrations/v1/")
"""Paths that are not Tocsin's own; its API is under ``/v1``."""

PAGERDUTY_PATHS: Mapping[str, str] = {
    "/v2/enqueue": "v2/enqueue",
    "/v2/change/enqueue": "v2/change/enqueue",
    "/generic/2010-04-15/create_event.json": "generic/2010-04-15/create_event.json",
}
_HEARTBEAT = re.compile(r"/v2/heartbeats/([^/]{1,300})/ping/?")
_ONCALL = re.compile(r"/integrations/v1/(?:formatted_webhook|webhook)/([^/]{1,300})/?")
_ALERTS = "/v2/alerts"


def find_route(path: str) -> Route | None:
    """This will return where a path, as on the wire, leads; None for what is not served."""
    inner = PAGERDUTY_PATHS.get(path.rstrip("/"))
    if inner is not None:
        return Route(Api.PAGERDUTY, inner)
    if path == _ALERTS or path.startswith(_ALERTS + "/"):
        return Route(Api.OPSGENIE, path[1:])
    beat = _HEARTBEAT.fullmatch(path)
    if beat is not None:
        return Route(Api.OPSGENIE, f"heartbeat/{beat[1]}", is_beat=True)
    oncall = _ONCALL.fullmatch(path)
    if oncall is not None:
        return Route(Api.ONCALL, "", token=unquote(oncall[1]))
    return None
