"""Paths below a target's base URL. A path that alert text had a part in must not lead to another host."""

from __future__ import annotations

import re

_PATH = re.compile(r"/[A-Za-z0-9_.~!$&'()*+,;=:@%/-]*(?:\?[A-Za-z0-9_.~!$&'()*+,;=:@%/-]*)?")


def relative_path(value: str) -> str:
    """This will accept an absolute path below the base URL.

    Raises:
        ValueError: It could leave the base URL.
    """
    if len(value) > 500 or _PATH.fullmatch(value) is None or "//" in value:
        raise ValueError("is not a path such as /health/ready")
    if any(part in (".", "..") for part in re.split(r"[/?]", value.replace("%2e", ".").replace("%2E", "."))):
        raise ValueError("may not step out of the base URL with . or ..")
    return value
