"""The demo's ticket system: the local stand-in for ServiceDesk Plus as a process of its own."""

from __future__ import annotations

import os

from starlette.applications import Starlette

from app.embedded.servicedesk_standin import ServiceDeskStandIn


def create_desk_app() -> Starlette:
    """This will return the stand-in, with its key from TOCSIN_DEMO_DESK_KEY."""
    return ServiceDeskStandIn(technician_key=os.environ["TOCSIN_DEMO_DESK_KEY"]).app
