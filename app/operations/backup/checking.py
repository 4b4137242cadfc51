"""Whether a restored database is what was backed up: every row of every tenant, every lock, every chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.audit.service import verify_chain
from app.core.ids import TenantId
from app.db.catalogue import examine
from app.db.engine import Database, make_engine
from app.db.tenancy import tenant_session
from app.operations.backup.errors import RestoreIncomplete
from app.operations.backup.looking import read_contents, snapshot_of
from app.operations.backup.manifest import Contents, Manifest, differences
from app.operations.backup.programs import Say
from app.settings.database import DatabaseSettings


@dataclass(frozen=True)
class Report:
    """What a restore brought back.

    Attributes:
        audit_entries: Entries of the audit trail that were walked.
        missing_keys: Encryption keys that stored secrets need and that are not configured.
    """

    manifest: Manifest
    found: Contents
    audit_entries: int
    missing_keys: list[str]


async def check_restored(manifest: Manifest, backup_url: str, *, have_keys: Sequence[str] | None, say: Say) -> Report:
    """This will compare counts and rights with the manifest, ask the catalogue, and walk every audit chain.

    Raises:
        RestoreIncomplete: Each thing that is wrong, by name.
    """
    async with snapshot_of(backup_url) as snapshot:
        found = await read_contents(snapshot.connection)
        same_server = snapshot.server_major == int(manifest.server_version.partition(".")[0])
        wrong = differences(manifest.contents, found, same_server=same_server)
        wrong += [finding.what for finding in await examine(snapshot.connection)]
    say("walking the audit trails")
    entries, broken = await _walk_chains(backup_url, found)
    if wrong or broken:
        raise RestoreIncomplete([*wrong, *broken])
    have = set(have_keys) if have_keys is not None else set(found.key_ids)
    return Report(manifest, found, entries, sorted(set(found.key_ids) - have))


async def _walk_chains(backup_url: str, found: Contents) -> tuple[int, list[str]]:
    # The backup role is above row level security; the chain's queries name their tenant themselves.
    engine = make_engine(
        backup_url, DatabaseSettings(statement_timeout_ms=600_000), pool_size=1, overflow=0, name="backup"
    )
    database = Database(app=engine, system=engine)
    entries, broken = 0, []
    tenants = {tenant for table in ("tenants", "audit_entries", "audit_heads") for tenant in _tenants_of(found, table)}
    try:
        for tenant in sorted(tenants):
            async with tenant_session(database, TenantId(tenant)) as session:
                report = await verify_chain(session)
            entries += report.entries
            if report.broken is not None:
                broken.append(f"the audit trail of tenant {tenant}: {report.broken}")
    finally:
        await engine.dispose()
    return entries, broken


def _tenants_of(found: Contents, table: str) -> list[TenantId]:
    return [TenantId(tenant) for tenant in found.tables[table].tenants] if table in found.tables else []
