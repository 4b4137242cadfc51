"""Alembic's entry: as tocsin_owner, one advisory lock, one transaction per migration, short lock time-outs.

A statement that waits for a strong lock holds up everybody who comes after it. So it waits a quarter of a second at the
most, well below the time that a sender's request may take, and the migration is tried again until it gets through.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import random
import threading
import time
from pathlib import Path

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

import app
from app.db.base import Base
from app.db.partitions import is_model

# Arbitrary, but fixed: any process that migrates this schema takes the same lock.
MIGRATION_LOCK = 7_221_455_907_113
LOCK_TIMEOUT_MS = 250
LOCK_ATTEMPTS = 60
LOCK_POLL_S = 0.2
LOCK_NOT_AVAILABLE = "55P03"


def import_models() -> None:
    """This will import each domain's tables so that the metadata is whole."""
    # Found as files: ``pkgutil.walk_packages`` would import every package of the service to look into it.
    root = Path(app.__path__[0])
    for file in sorted(root.rglob("models.py")):
        importlib.import_module(".".join(("app", *file.relative_to(root).with_suffix("").parts)))


def database_url() -> str:
    """This will return the owner's URL, from the caller or from TOCSIN_DATABASE__OWNER_URL."""
    url = context.config.attributes.get("url") or os.environ.get("TOCSIN_DATABASE__OWNER_URL")
    if not url:
        raise SystemExit(
            "Set TOCSIN_DATABASE__OWNER_URL to a URL of the role tocsin_owner, then run the migration again."
        )
    return str(url)


def run(connection: Connection) -> None:
    """This will run the migrations on one connection."""
    wait_for_others(connection)
    connection.execute(text("select set_config('lock_timeout', :limit, false)"), {"limit": f"{LOCK_TIMEOUT_MS}ms"})
    connection.commit()
    for attempts_left in reversed(range(LOCK_ATTEMPTS)):
        try:
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                transaction_per_migration=True,
                include_name=is_model,
            )
            with context.begin_transaction():
                context.run_migrations()
        except DBAPIError as error:
            # The migrations before the one that met the lock are committed; the next try goes on from there.
            connection.rollback()
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE or not attempts_left:
                raise
            time.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - so that two of them do not meet again
        else:
            return


def wait_for_others(connection: Connection) -> None:
    """This will take the lock that keeps migrations apart, however long the one before takes.

    Asked again and again instead of waited for: whoever waits inside a statement holds a snapshot, and the first
    migration's CREATE INDEX CONCURRENTLY would wait for that in turn.
    """
    while not connection.execute(text("select pg_try_advisory_lock(:key)"), {"key": MIGRATION_LOCK}).scalar_one():
        connection.rollback()
        time.sleep(LOCK_POLL_S)


async def migrate() -> None:
    """This will connect as the owner and migrate."""
    engine = create_async_engine(database_url(), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


def run_in_own_loop() -> None:
    """This will run the migration on a thread of its own, so that a caller inside an event loop can use it too."""
    failure: list[BaseException] = []

    def target() -> None:
        try:
            asyncio.run(migrate())
        except BaseException as error:  # noqa: BLE001 - handed to the calling thread below
            failure.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


import_models()
run_in_own_loop()
