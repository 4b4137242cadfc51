"""How a migration protects a table. Each tenant table goes through ``protect``; the catalogue test checks the result."""

from __future__ import annotations

from typing import Protocol

APP = "tocsin_app"
SYSTEM = "tocsin_system"
BACKUP = "tocsin_backup"
DEFINER = "tocsin_definer"
PRIVATE = "tocsin_private"

CURRENT_TENANT = "(select nullif(current_setting('app.current_tenant_id', true), '')::uuid)"


class Operations(Protocol):
    """The part of alembic's ``op`` that is used here."""

    def execute(self, sqltext: str) -> None: ...


def protect(
    op: Operations, table: str, *, grants: str = "select, insert, update, delete", tenant_column: str = "tenant_id"
) -> None:
    """This will switch on and force row level security, add the two policies and grant to the app and backup roles.

    One RESTRICTIVE policy carries the isolation: a stray permissive policy can then widen nothing, as restrictive
    ones are ANDed. The permissive one is needed because restrictive policies alone admit no row. The setting is read
    in a sub-select so that it is evaluated once a statement (an InitPlan) and the index on ``tenant_id`` is used.
    Owners are included (FORCE), so a data migration must set the tenant or count what it changed.
    """
    match = f"{tenant_column} = {CURRENT_TENANT}"
    for statement in (
        f"alter table {table} enable row level security",
        f"alter table {table} force row level security",
        f"create policy tenant_isolation on {table} as restrictive for all to public using ({match}) with check ({match})",
        f"create policy tenant_rows on {table} as permissive for all to public using ({match}) with check ({match})",
        f"grant {grants} on {table} to {APP}",
        f"grant select on {table} to {BACKUP}",
    ):
        op.execute(statement)


def definer_grants(op: Operations, table: str, grants: str) -> None:
    """This will let the definer functions touch a table; they run as a role that no one can log in as."""
    op.execute(f"grant {grants} on {table} to {DEFINER}")


def definer_function(op: Operations, signature: str, returns: str, body: str, *, language: str = "plpgsql") -> None:
    """This will create a SECURITY DEFINER function in ``tocsin_private`` that only the system role may call.

    Args:
        op: Alembic's operations.
        signature: Name and arguments, ``find_source(p_public_id text)``.
        returns: What follows RETURNS, ``table (id uuid)`` or ``integer``.
        body: The function's body; it must qualify nothing but what is in ``public`` and ``pg_catalog``.
        language: ``plpgsql`` or ``sql``.
    """
    name = signature.partition("(")[0]
    types = ", ".join(
        part.strip().partition(" ")[2].partition(" default ")[0]
        for part in signature.partition("(")[2].rstrip(")").split(",")
        if part.strip()
    )
    op.execute(
        f"create function {PRIVATE}.{signature} returns {returns} language {language} security definer "
        f"set search_path = pg_catalog, public as $function$ {body} $function$"
    )
    op.execute(f"alter function {PRIVATE}.{name}({types}) owner to {DEFINER}")
    op.execute(f"revoke all on function {PRIVATE}.{name}({types}) from public")
    op.execute(f"grant execute on function {PRIVATE}.{name}({types}) to {SYSTEM}")


def replace_definer_function(op: Operations, signature: str, returns: str, body: str) -> None:
    """This will give a plpgsql function of ``definer_function`` another body.

    In place: owner and rights stay, and whoever calls it meanwhile finds one or the other.
    """
    op.execute(
        f"create or replace function {PRIVATE}.{signature} returns {returns} language plpgsql security definer "
        f"set search_path = pg_catalog, public as $function$ {body} $function$"
    )
