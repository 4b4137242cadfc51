"""What the expressions of one delivery share: what they may look at besides the item, and one budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.ingest.contract import ParseError

STEPS_MAX = 200_000


@dataclass
class Scope:
    """One delivery, as its expressions see it.

    Attributes:
        headers: The request's, lower case, for ``header()``.
        document: The whole payload, for ``document()``, whichever part of it is looked at.
        fields: Named fields of the alert at hand, for ``field()``.
        steps: Used up so far.
    """

    headers: Mapping[str, str]
    document: object
    fields: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0

    def charge(self, steps: int) -> None:
        """This will take steps off the budget.

        Raises:
            ParseError: It is used up.
        """
        self.steps += steps
        if self.steps > STEPS_MAX:
            raise ParseError("mapping.failed", f"the mapping took more than {STEPS_MAX} steps")
