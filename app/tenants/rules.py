"""What a tenant's slug looks like and which states it goes through."""

from __future__ import annotations

import re
from enum import StrEnum

SLUG = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")


class TenantState(StrEnum):
    """``isolated`` stops tokens, intake and jobs and keeps every row as evidence."""

    ACTIVE = "active"
    ISOLATED = "isolated"
    DELETED = "deleted"


def is_slug(text: str) -> bool:
    """This will say whether the text is 3 to 40 lower-case letters, digits and inner hyphens."""
    return SLUG.fullmatch(text) is not None
