"""The pipeline from ticket to note. Importing this registers its handlers and event subscriptions."""

from __future__ import annotations

from app.enhancement.jobs import learning, pipeline, subscriptions
from app.enhancement.jobs.definitions import EnhanceTicket, IndexIncident, LearnResolution

__all__ = ["EnhanceTicket", "IndexIncident", "LearnResolution", "learning", "pipeline", "subscriptions"]
