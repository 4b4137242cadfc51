"""The doors behind a source that speak other services' APIs."""

from __future__ import annotations

from app.core.resources import Resources
from app.ingest.delivery_door import DeliveryDoor
from app.ingest.doors import Door
from app.ingest.dropin.opsgenie import OpsgenieDoor
from app.ingest.dropin.pagerduty import PagerDutyDoor
from app.ingest.dropin.prometheus import PrometheusDoor
from app.ingest.dropin.routes import PAGERDUTY_PATHS
from app.settings import Settings


def dropin_doors(resources: Resources, deliveries: DeliveryDoor) -> dict[str, Door]:
    """This will return the doors by their paths; a path that ends with a slash stands for everything beneath it."""
    events = PagerDutyDoor(deliveries, retry_after_s=resources.get(Settings).ingest.retry_after_s)
    doors: dict[str, Door] = dict.fromkeys(PAGERDUTY_PATHS.values(), events)
    doors["v2/"] = OpsgenieDoor(resources, deliveries)
    doors["api/v2/alerts"] = PrometheusDoor(deliveries)
    return doors
