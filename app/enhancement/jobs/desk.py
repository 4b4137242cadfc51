"""Opening a tenant's ticket system for one run of a job."""

from __future__ import annotations

from app.db.jobs.context import JobContext
from app.enhancement.contract import Desk
from app.enhancement.models import DeskRow
from app.enhancement.service.catalogue import get_desk_kind
from app.enhancement.service.desks import open_desk
from app.net.keyring import KeyRing
from app.net.outbound import OutboundHttp
from app.settings import Settings


def connect_desk(ctx: JobContext, row: DeskRow) -> Desk:
    """This will decrypt the desk's key and return its client."""
    settings = ctx.resources.get(Settings).enhancement
    access = open_desk(row, keyring=ctx.resources.get(KeyRing), timeout_s=settings.desk_timeout_s)
    return get_desk_kind(row.kind).connect(access, ctx.resources.get(OutboundHttp))
