"""The manifest beside each dump: what must be in it, counted in the snapshot that the dump was made of."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.operations.backup.errors import BackupDamaged, BackupTooNew, BackupUnreadable

FORMAT: Final = 1
SUFFIX: Final = ".manifest.json"
_CHUNK_BYTES = 4 * 1024 * 1024


class TableCount(BaseModel):
    """Rows of a table, and of each tenant in it where it is a tenant table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    tenants: dict[UUID, int] = Field(default_factory=dict)


class Contents(BaseModel):
    """What a database holds, as one snapshot shows it.

    Attributes:
        revision: The schema's migration.
        tables: Rows by table; partitions count with their parent.
        rights_sha256: Hash over owners, grants, policies and row level security of every object.
        key_ids: Ids of the encryption keys that the stored secrets need; never the keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str
    tables: dict[str, TableCount]
    rights_sha256: str
    key_ids: list[str]

    @property
    def tenants(self) -> int:
        """The number of tenants."""
        found = self.tables.get("tenants")
        return found.rows if found is not None else 0

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


class Manifest(BaseModel):
    """One backup.

    Attributes:
        sealed_with: Id of the key that the dump is encrypted with; None for a plain one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    taken_at: datetime
    tocsin_version: str
    server_version: str
    program_version: str
    dump: str
    size_bytes: int
    sha256: str
    sealed_with: str | None = None
    contents: Contents


def manifest_path(dump: Path) -> Path:
    """This will return where the manifest of a dump is; given a manifest, that one."""
    return dump if dump.name.endswith(SUFFIX) else dump.with_name(dump.name.removesuffix(".dump") + SUFFIX)


def read_manifest(path: Path) -> tuple[Manifest, Path]:
    """This will read a backup's manifest, given it or its dump, and return it with the dump's path.

    Raises:
        BackupUnreadable: There is no manifest, or it is not one.
        BackupTooNew: Another format than this release writes.
    """
    where = manifest_path(path)
    try:
        raw = orjson.loads(where.read_bytes())
    except FileNotFoundError:
        raise BackupUnreadable(
            f"{where} is not there. A dump without its manifest is not a finished backup: give the path of a .dump or "
            f"{SUFFIX} file that lies beside its other half."
        ) from None
    except orjson.JSONDecodeError:
        raise BackupUnreadable(f"{where} is not JSON; take another copy of the backup") from None
    found = raw.get("format") if isinstance(raw, dict) else None
    if isinstance(found, int) and found != FORMAT:
        raise BackupTooNew(
            f"{where} has format {found}, this release reads format {FORMAT}. It was made by Tocsin "
            f"{raw.get('tocsin_version', '?')}: restore it with that release."
        )
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        raise BackupUnreadable(f"{where} is not a manifest of Tocsin: {error.errors()[0]['msg']}") from None
    if Path(manifest.dump).name != manifest.dump:
        raise BackupUnreadable(f"{where} names a dump outside its own folder")
    return manifest, where.with_name(manifest.dump)


def check_dump(manifest: Manifest, dump: Path) -> None:
    """This will compare the dump with the manifest, byte for byte.

    Raises:
        BackupDamaged: It is gone, or its size or hash differs.
    """
    if not dump.is_file():
        raise BackupDamaged(f"{dump} is not there; take another copy of the backup")
    size = dump.stat().st_size
    if size != manifest.size_bytes:
        raise BackupDamaged(f"{dump} has {size} bytes, not {manifest.size_bytes}; take another copy of the backup")
    if (found := sha256_of(dump)) != manifest.sha256:
        raise BackupDamaged(f"{dump} has SHA-256 {found}, not {manifest.sha256}; take another copy of the backup")


def sha256_of(path: Path) -> str:
    """This will hash a file in bounded memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def differences(expected: Contents, found: Contents, *, same_server: bool = True) -> list[str]:
    """This will name what differs between what was backed up and what is there.

    Args:
        same_server: Whether both were of one major version; another one words its definitions differently.
    """
    wrong: list[str] = []
    if found.revision != expected.revision:
        wrong.append(f"the schema is at revision {found.revision}, not {expected.revision}")
    for name in sorted(expected.tables.keys() | found.tables.keys()):
        before, after = expected.tables.get(name), found.tables.get(name)
        if before is None or after is None:
            wrong.append(f"table {name} {'is missing' if after is None else 'was not in the backup'}")
            continue
        tenants = sorted(before.tenants.keys() | after.tenants.keys())
        uneven = [tenant for tenant in tenants if before.tenants.get(tenant, 0) != after.tenants.get(tenant, 0)]
        wrong += [
            f"{name}: tenant {tenant} has {after.tenants.get(tenant, 0)} rows, not {before.tenants.get(tenant, 0)}"
            for tenant in uneven
        ]
        if before.rows != after.rows and not uneven:
            wrong.append(f"{name} has {after.rows} rows, not {before.rows}")
    if same_server and found.rights_sha256 != expected.rights_sha256:
        wrong.append("owners, grants, policies, constraints or indexes are not those that were backed up")
    return wrong if len(wrong) <= 50 else [*wrong[:50], f"and {len(wrong) - 50} more"]
