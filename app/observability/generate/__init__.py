"""The Grafana dashboards, written as code: ``python -m app.observability.generate`` writes their JSON,
and the alert rules once more for the Prometheus operator (``rules.py``).

A panel says what it shows, what its target is and from where on it is a red flag; the same figures colour it.
"""

from __future__ import annotations

from app.observability.generate.baseline import BASELINE
from app.observability.generate.grafana import Dashboard
from app.observability.generate.operations import OPERATIONS

DASHBOARDS: tuple[Dashboard, ...] = (OPERATIONS, BASELINE)
