"""What a database holds, asked as the backup role, which sees every row and may change none."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.db.catalogue import tenant_tables
from app.operations.backup.errors import DatabaseNotReady
from app.operations.backup.manifest import Contents, TableCount

# Where secrets are kept under an encryption key; a token begins with its version and the length of the key's id.
ENCRYPTED = {"source_secrets": "ciphertext", "targets": "secret", "desks": "secret"}

_WHO = text(
    "select pg_export_snapshot(), current_setting('server_version'), current_user, r.rolbypassrls or r.rolsuper"
    " from pg_roles r where r.rolname = current_user"
)
_TABLES = text(
    "select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')"
    " and not c.relispartition order by 1"
)
# Partitions come and go with time, so a restored database may have others than a fresh one; the catalogue's questions are
# about them too.
_RIGHTS = text("""
select 'schema ' || n.nspname || ' ' || pg_get_userbyid(n.nspowner) || ' ' || coalesce((
    select string_agg(a::text, ',' order by a::text) from unnest(n.nspacl) a), '')
  from pg_namespace n where n.nspname in ('public', 'tocsin_private')
union all
select 'relation ' || c.relname || ' ' || pg_get_userbyid(c.relowner) || ' ' || c.relrowsecurity || c.relforcerowsecurity
    || ' ' || coalesce((select string_agg(a::text, ',' order by a::text) from unnest(c.relacl) a), '')
  from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
union all
select 'policy ' || p.polname || ' on ' || c.relname || ' ' || p.polpermissive || p.polcmd::text || ' '
    || coalesce(pg_get_expr(p.polqual, p.polrelid), '') || ' ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
  from pg_policy p join pg_class c on c.oid = p.polrelid
union all
select 'constraint ' || k.conname || ' on ' || c.relname || ' ' || k.convalidated || ' ' || pg_get_constraintdef(k.oid)
  from pg_constraint k join pg_class c on c.oid = k.conrelid where c.relnamespace = 'public'::regnamespace
    and k.contype <> 'n'
union all
select 'index ' || i.relname || ' ' || x.indisvalid || ' ' || pg_get_indexdef(x.indexrelid)
  from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
  where c.relnamespace = 'public'::regnamespace
union all
select 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ') ' || pg_get_userbyid(p.proowner)
    || ' ' || p.prosecdef || ' ' || coalesce(array_to_string(p.proconfig, ','), '') || ' ' || md5(p.prosrc) || ' '
    || coalesce((select string_agg(a::text, ',' order by a::text) from unnest(p.proacl) a), '')
  from pg_proc p where p.pronamespace = 'tocsin_private'::regnamespace
order by 1
""")


@dataclass(frozen=True)
class Snapshot:
    """One moment of a database; it stays as it was for as long as the connection is in its transaction.

    Attributes:
        id: What pg_dump is given to see the same.
        server_version: ``18.1``.
    """

    connection: AsyncConnection
    id: str
    server_version: str

    @property
    def server_major(self) -> int:
        return int(self.server_version.partition(".")[0])


def patient_engine(url: str) -> AsyncEngine:
    """This will build an engine for few and long statements; nothing is kept open between two."""
    limits = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "lock_timeout": "30s"}
    settings = {"application_name": "tocsin-backup", "timezone": "UTC", **limits}
    return create_async_engine(url, poolclass=NullPool, connect_args={"timeout": 10, "server_settings": settings})


@asynccontextmanager
async def snapshot_of(url: str) -> AsyncIterator[Snapshot]:
    """This will hold one moment of the database still, read only.

    Raises:
        DatabaseNotReady: It cannot be reached, or the role is bound by row level security and would see nothing.
    """
    engine = patient_engine(url)
    try:
        async with AsyncExitStack() as stack:
            try:
                plain = await stack.enter_async_context(engine.connect())
                connection = await plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                row = (await connection.execute(_WHO)).one()
            except (OSError, DBAPIError) as error:
                raise DatabaseNotReady(
                    f"the database does not answer as the backup role: {first_line(error)}"
                ) from error
            if not row[3]:
                raise DatabaseNotReady(
                    f"role {row[2]!r} is bound by row level security and would see no row. Point "
                    "TOCSIN_DATABASE__BACKUP_URL at the role tocsin_backup."
                )
            yield Snapshot(connection, row[0], row[1].split()[0])
    finally:
        await engine.dispose()


async def read_contents(connection: AsyncConnection) -> Contents:
    """This will count every table by tenant, and hash what guards them.

    Raises:
        DatabaseNotReady: There is something that the role may not read; a dump would lack it.
    """
    try:
        return await _read(connection)
    except DBAPIError as error:
        raise DatabaseNotReady(
            f"the backup role cannot read everything: {first_line(error)}. What is not Tocsin's belongs into another "
            "schema; what is Tocsin's is granted by its migrations."
        ) from error


async def _read(connection: AsyncConnection) -> Contents:
    by_tenant = await tenant_tables(connection)
    tables: dict[str, TableCount] = {}
    for name in (await connection.execute(_TABLES)).scalars().all():
        tables[name] = await _count(connection, name, by_tenant.get(name))
    revision = (await connection.execute(text("select version_num from alembic_version"))).scalar_one()
    digest = hashlib.sha256()
    for line in (await connection.execute(_RIGHTS)).scalars():
        digest.update(f"{line}\n".encode())
    return Contents(
        revision=revision,
        tables=tables,
        rights_sha256=digest.hexdigest(),
        key_ids=await _key_ids(connection, set(tables)),
    )


async def _count(connection: AsyncConnection, table: str, tenant_column: str | None) -> TableCount:
    # The names come from the catalogue; quoted all the same.
    quoted = f'public."{table}"'
    if tenant_column is None:
        rows = (await connection.execute(text(f"select count(*) from {quoted}"))).scalar_one()  # noqa: S608
        return TableCount(rows=rows)
    statement = f'select "{tenant_column}", count(*) from {quoted} group by 1'  # noqa: S608
    tenants: dict[UUID, int] = {row[0]: row[1] for row in (await connection.execute(text(statement))).all()}
    return TableCount(rows=sum(tenants.values()), tenants=tenants)


async def _key_ids(connection: AsyncConnection, tables: set[str]) -> list[str]:
    found: set[str] = set()
    for table, column in ENCRYPTED.items():
        if table in tables:
            statement = (
                f"select distinct encode(substring({column} from 3 for get_byte({column}, 1)), 'escape')"  # noqa: S608
                f" from {table} where length({column}) > 2"
            )
            found |= set((await connection.execute(text(statement))).scalars())
    return sorted(found)


def first_line(error: BaseException) -> str:
    """This will return what the server or the driver said, in one line."""
    return (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0]
