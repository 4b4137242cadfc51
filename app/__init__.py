"""Tocsin: signed alerts in; incidents, verified remediation and enriched tickets out."""

from __future__ import annotations

from app.core.heap import space_out_collections

# Here, before all other imports: with Python's defaults the collector would take a tenth of the time that they take.
space_out_collections()
