"""The demo's ticket system: the local stand-in for ServiceDesk Plus as a process of its own."""

from __future__ import annotations

import os
import time

from starlette.applications import Starlette

from app.embedded.servicedesk_standin import ServiceDeskStandIn


def create_desk_app() -> Starlette:
    """This will return the stand-in, with its key from TOCSIN_DEMO_DESK_KEY."""
    # It forgets its tickets when it stops, and Tocsin does not: a number must not come twice.
    return ServiceDeskStandIn(technician_key=os.environ["TOCSIN_DEMO_DESK_KEY"], first_number=int(time.time())).app
