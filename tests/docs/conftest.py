"""What the tests of the pages share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.db.migrate import ROOT


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as a fresh process writes them, which has declared nothing of the tests' own."""
    folder = tmp_path_factory.mktemp("reference")
    subprocess.run([sys.executable, "-m", "workers.reference", str(folder)], cwd=ROOT, check=True, timeout=60)
    return folder
