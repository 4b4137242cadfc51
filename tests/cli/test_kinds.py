"""Who looks a kind of source up learns what each of its settings means."""

from __future__ import annotations

import pytest

from app.ingest.contract import AlertSource
from app.ingest.described import described
from app.ingest.sources import all_sources
from app.ingest.sources.generic.config import MappingConfig

# The settings of a mapping have a guide of their own, which has the defaults of those that are not described here.
PLAIN = [kind for kind in all_sources().values() if not issubclass(kind.config_model, MappingConfig)]


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.slug)
def test_each_setting_is_described(kind: AlertSource) -> None:
    assert [name for name, meaning in described(kind.config_model).items() if not meaning] == []


def test_a_meaning_is_told_whole_and_in_one_line() -> None:
    meanings = described(all_sources()["librenms"].config_model)
    assert meanings["timezone"].startswith("Of the times that LibreNMS writes")
    assert meanings["timezone"].endswith("the time of delivery counts.")
    assert meanings["web_url"].startswith("Where its users open it")
