"""Which relations are partitions of a table, for whoever compares the models with the database."""

from __future__ import annotations

import re

_PARTITION = re.compile(r"deliveries_(?:first|strays|p\d{8})")


def is_partition(name: str) -> bool:
    """This will say whether a relation of this name is a partition: the relay's keeper makes and drops them."""
    return _PARTITION.fullmatch(name) is not None


def is_model(name: str | None, kind: str, parents: object) -> bool:
    """This will be alembic's ``include_name``: what the models are compared with."""
    return kind != "table" or name is None or not is_partition(name)
