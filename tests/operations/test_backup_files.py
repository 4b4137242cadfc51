"""What a backup leaves in its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.operations.backup.manifest import SUFFIX
from tests.fixtures.database import PostgresServer
from tests.operations.backups import NOW, back_up


async def test_a_dump_whose_manifest_cannot_be_written_does_not_stay(
    postgres: PostgresServer, scratch_name: str, tmp_path: Path
) -> None:
    in_the_way = tmp_path / f"tocsin-{NOW:%Y%m%dT%H%M%SZ}{SUFFIX}"
    in_the_way.mkdir()
    with pytest.raises(OSError, match=in_the_way.name):
        await back_up(postgres, scratch_name, tmp_path, now=NOW)
    assert set(os.listdir(tmp_path)) == {".lock", in_the_way.name}
