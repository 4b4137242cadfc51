"""Scales of severity that several senders share."""

from __future__ import annotations

from collections.abc import Mapping

from app.incidents.schemas import Severity

FROM_ONE_TO_FIVE: Mapping[str, Severity] = {
    "1": Severity.P0,
    "2": Severity.P1,
    "3": Severity.P2,
    "4": Severity.P3,
    "5": Severity.P3,
}
"""Of those who call the worst of five 1."""
P1_TO_P5: Mapping[str, Severity] = {f"p{number}": severity for number, severity in FROM_ONE_TO_FIVE.items()}
