"""The reference pages say what the code says, and links in the documentation lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.db.migrate import ROOT

PAGES = ("settings.md", "metrics.md", "problems.md", "api.md", "sources.md", "profiles.md")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_page_is_up_to_date(written: Path, page: str) -> None:
    committed = (ROOT / "docs" / "reference" / page).read_text()
    assert committed == (written / page).read_text(), f"{page} is not what the code says: run `make reference`"


def test_the_pages_describe_what_there_is(written: Path) -> None:
    assert "| `TOCSIN_INGEST__BATCH_SIZE` | `128` |" in (written / "settings.md").read_text()
    assert "| `tocsin_relay_published_total` | counter | `queue` |" in (written / "metrics.md").read_text()
    assert "| `incident.not_found` | 404 |" in (written / "problems.md").read_text()
    assert "| `POST /in/{source}` |" in (written / "api.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
