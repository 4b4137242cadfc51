"""Several transactions of one tenant in one command, for what is looked at again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import typer

from app.observability.scrubbing import escape_unsafe

if TYPE_CHECKING:
    from pydantic import BaseModel

    from app.db.tenancy import TenantSession

T = TypeVar("T")
M = TypeVar("M", bound="BaseModel")
Begin = Callable[[], AbstractAsyncContextManager["TenantSession"]]
"""Opens a transaction of the tenant."""


def run_in_tenant(tenant: UUID, work: Callable[[Begin], Awaitable[T]]) -> T:
    """This will run ``work``, which opens transactions as it needs them; anticipated errors become one line and exit 1."""
    from app.core.errors import TocsinError
    from app.core.ids import TenantId
    from app.db.engine import Database
    from app.db.tenancy import tenant_session
    from app.settings import Settings

    async def run() -> T:
        database = Database.from_settings(Settings().database)
        try:
            return await work(lambda: tenant_session(database, TenantId(tenant)))
        finally:
            await database.dispose()

    try:
        return asyncio.run(run())
    except TocsinError as error:
        raise fail(in_words(error), code=1) from None


def in_words(error: BaseException) -> str:
    """This will return what went wrong and what to do about it, for the person at the command line."""
    from app.core.errors import TocsinError
    from app.db.tenancy import DatabaseUnavailable

    if isinstance(error, TocsinError) and not isinstance(error, DatabaseUnavailable):
        return f"{error.title}: {safe(error.detail)}. {error.hint}".strip()
    return (
        f"PostgreSQL cannot be used: {safe(str(error).partition(chr(10))[0]) or type(error).__name__}. "
        "Beside 'make up', run commands in its folder while it runs; elsewhere the TOCSIN_DATABASE__..._URL variables "
        "say where the database is."
    )


def safe(text: str) -> str:
    """This will return a stranger's text so that it moves no cursor, colours nothing and takes one line."""
    return escape_unsafe(text.replace("\n", " ").replace("\t", " "))


def valid(kind: type[M], /, **given: Any) -> M:
    """This will return what was asked for, or end the command with the first thing that is wrong with it."""
    from pydantic import ValidationError

    from app.ingest.faults import first_fault

    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise fail(first_fault(error, whole="options")) from None


def fail(message: str, *, code: int = 2) -> typer.Exit:
    """This will print what is wrong and what to do about it, and return the exit to raise."""
    typer.secho(message, fg="red", err=True)
    return typer.Exit(code)
