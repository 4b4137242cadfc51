"""Encrypted backups: they come back with the key, and with nothing else."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.embedded.postgres import packaged_binaries
from app.operations.backup.errors import BackupDamaged, KeyMissing
from app.operations.backup.rehearsal import check_file
from app.operations.backup.sealing import CHUNK_BYTES, Sealer, open_sealed
from tests.fixtures.database import PostgresServer
from tests.operations.backups import back_up, bring_back, tables_in

KEY, OTHER = bytes(range(32)), bytes(32)
MEBIBYTE = 1024 * 1024
TAG_BYTES = 16


def seal(plain: bytes, *, pieces: int = 1, key: bytes = KEY) -> bytes:
    file = io.BytesIO()
    sealer = Sealer(file, key_id="2026a", key=key)
    step = max(1, -(-len(plain) // pieces))
    for start in range(0, len(plain), step):
        sealer.write(plain[start : start + step])
    sealer.close()
    return file.getvalue()


def unseal(sealed: bytes, path: Path, key: bytes = KEY) -> bytes:
    path.write_bytes(sealed)
    return b"".join(open_sealed(path, {"2026a": key}))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
@pytest.mark.parametrize("pieces", [1, 7])
def test_what_was_sealed_opens(size: int, pieces: int, tmp_path: Path) -> None:
    plain = os.urandom(size)
    assert unseal(seal(plain, pieces=pieces), tmp_path / "file") == plain


def test_the_same_bytes_never_look_the_same() -> None:
    assert seal(b"body")[8 + 1 + 5 + 16 :] != seal(b"body")[8 + 1 + 5 + 16 :]


@given(place=st.integers(0, 2 * MEBIBYTE + 40), bit=st.integers(0, 7))
@settings(max_examples=40)
def test_no_bit_can_be_changed(place: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    sealed = bytearray(SEALED)
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises((BackupDamaged, KeyMissing)):
        unseal(bytes(sealed), tmp_path_factory.mktemp("bit") / "file")


SEALED = seal(bytes(2 * MEBIBYTE + 5))
HEADER = len(SEALED) - (2 * MEBIBYTE + 5) - 3 * TAG_BYTES
CHUNK = MEBIBYTE + TAG_BYTES
REARRANGED = {
    "the end is cut off at a chunk": SEALED[: HEADER + 2 * CHUNK],
    "the end is cut off in a chunk": SEALED[:-1],
    "a chunk is left out": SEALED[:HEADER] + SEALED[HEADER + CHUNK :],
    "two chunks change places": (
        SEALED[:HEADER]
        + SEALED[HEADER + CHUNK : HEADER + 2 * CHUNK]
        + SEALED[HEADER : HEADER + CHUNK]
        + SEALED[HEADER + 2 * CHUNK :]
    ),
    "something is added": SEALED + b"x",
    "only the header": SEALED[:HEADER],
    "less than the header": SEALED[:10],
    "nothing": b"",
    "a plain dump": b"PGDMP" + bytes(100),
}


@pytest.mark.parametrize("how", REARRANGED)
def test_no_part_can_be_taken_out_or_moved(how: str, tmp_path: Path) -> None:
    with pytest.raises(BackupDamaged):
        unseal(REARRANGED[how], tmp_path / "file")


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(BackupDamaged, match="another key"):
        unseal(seal(b"body"), tmp_path / "file", key=OTHER)
    with pytest.raises(KeyMissing, match="'2026a', which is not configured"):
        list(open_sealed(tmp_path / "file", {"2027a": KEY}))


async def test_an_encrypted_backup_comes_back_with_its_key_only(
    postgres: PostgresServer, scratch_name: str, target: str, tmp_path: Path
) -> None:
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute("insert into queue_pauses (queue, reason) values ('x', 'a reason to be hidden')")
        # More than a chunk and than a pipe holds, and not to be compressed.
        await connection.execute(
            "insert into workers (id, queues, kinds) select i::text, '{}', array(select md5(random()::text || i || j)"
            " from generate_series(1, 100) j) from generate_series(1, 1000) i"
        )
    manifest, dump = await back_up(postgres, scratch_name, tmp_path, seal_with=("2026a", KEY))
    assert manifest.sealed_with == "2026a"
    assert manifest.size_bytes > CHUNK_BYTES
    plain, _ = await back_up(postgres, scratch_name, tmp_path / "plain")
    assert plain.sealed_with is None
    assert b"PGDMP" not in seen(dump)
    assert b"PGDMP" in seen(tmp_path / "plain" / plain.dump)
    for keys, error in (({}, KeyMissing), (None, KeyMissing), ({"2026a": OTHER}, BackupDamaged)):
        with pytest.raises(error):
            await check_file(dump, programs_in=[packaged_binaries()], keys=keys)
        with pytest.raises(error):
            await bring_back(postgres, dump, target, keys=keys)
    assert await tables_in(postgres, target) == 0
    assert await check_file(dump, programs_in=[packaged_binaries()], keys={"2026a": KEY}) == manifest
    report = await bring_back(postgres, dump, target, keys={"2026a": KEY})
    assert report.found == manifest.contents
    assert [name for name in os.listdir(tmp_path) if name.endswith(".partial")] == []


def seen(path: Path) -> bytes:
    return path.read_bytes()[:4096]
