"""Deliveries by day: partitions are made ahead and dropped behind, so that retention costs no deletes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from alembic import op
from sqlalchemy.exc import IntegrityError

from app.db.rls import APP, DEFINER, PRIVATE, SYSTEM, definer_function, definer_grants, protect

revision = "0008"
down_revision: str | None = "0007"
branch_labels = None
depends_on = None

# What the linter of tests/migrations would refuse, and why it holds here.
ACCEPTED = {
    "rename": "the same transaction puts a table of the same name and columns in its place",
    "drop constraint": "it is this migration's own, made to spare the attachment a scan",
}

ROOT = Path(__file__).resolve().parents[1] / "sql"
AHEAD_DAYS = 7
INDEXES = {
    "accepted": "(tenant_id, shard, stored_at) where state = 'accepted'",
    "source": "(tenant_id, source_id, id)",
    "stored": "using brin (stored_at)",
}
# Name and arguments, what it returns, language with its volatility, and who may call it beside its owner.
HELPERS = (
    ("id_at(p_at timestamptz)", "uuid", "sql immutable strict", DEFINER),
    ("time_of(p_id uuid)", "timestamptz", "sql immutable strict", DEFINER),
    ("delivery_partitions()", "table (relation regclass, from_id uuid, to_id uuid)", "sql stable", DEFINER),
    ("protect_partition(p_table regclass)", "void", "plpgsql", None),
    ("make_delivery_partition(p_from timestamptz, p_to timestamptz)", "void", "plpgsql", None),
)
# The owner may shape tables but sees no row; these see the rows for it.
LOOKING = {
    "move_stray_deliveries(p_into regclass, p_from uuid, p_to uuid)": "bigint",
    "has_waiting_deliveries(p_from uuid, p_to uuid)": "boolean",
    "stray_deliveries(p_cap integer)": "bigint",
}
PURGE = "purge_deliveries(p_before timestamptz, p_limit integer)"
KEEP = (
    "keep_delivery_partitions(p_now timestamptz, p_keep interval, p_width_days integer, p_ahead_days integer)",
    "table (partitions integer, ahead_s double precision, overdue integer, strays bigint)",
)


def upgrade() -> None:
    """This will make the table that is there the first partition of one by days; no row is copied.

    What takes long, the look at every row, holds nobody up: it is done before, as the validation of a constraint that
    then proves to the attachment that every row is in bounds. The rest is a matter of milliseconds.
    """
    end = _midnight(days=2)
    with op.get_context().autocommit_block():
        _prove_bounds(end)
    _set_aside()
    op.execute(
        "create table deliveries (like deliveries_first including defaults including constraints including storage)"
        " partition by range (id)"
    )
    op.execute("alter table deliveries drop constraint ck_deliveries_first")
    op.execute("alter table deliveries add constraint pk_deliveries primary key (tenant_id, id)")
    for name, definition in INDEXES.items():
        op.execute(f"create index ix_deliveries_{name} on deliveries {definition}")
    protect(op, "deliveries")
    definer_grants(op, "deliveries", "select, update, delete")
    op.execute(
        f"alter table deliveries attach partition deliveries_first for values from (minvalue) to ('{_id_at(end)}')"
    )
    op.execute("alter table deliveries_first drop constraint ck_deliveries_first")
    op.execute(f"revoke all on deliveries_first from {APP}")
    op.execute(f"grant insert on deliveries_first to {DEFINER}")
    op.execute("create table deliveries_strays partition of deliveries default")
    _create_functions()
    op.execute(f"select {PRIVATE}.protect_partition('deliveries_strays')")
    for day in range(AHEAD_DAYS):
        first = end + timedelta(days=day)
        last = first + timedelta(days=1)
        op.execute(f"select {PRIVATE}.make_delivery_partition('{first.isoformat()}', '{last.isoformat()}')")


def _prove_bounds(end: datetime) -> None:
    op.execute("alter table deliveries drop constraint if exists ck_deliveries_first")
    op.execute(f"alter table deliveries add constraint ck_deliveries_first check (id < '{_id_at(end)}') not valid")
    try:
        op.execute("alter table deliveries validate constraint ck_deliveries_first")
    except IntegrityError as error:
        op.execute("alter table deliveries drop constraint ck_deliveries_first")
        raise RuntimeError(
            f"a delivery has an id of {end:%Y-%m-%d} or later: the clock of an api process was wrong. The role tocsin_backup "
            f"sees which: those with an id from {_id_at(end)} on. Delete them, then migrate again."
        ) from error


def _midnight(*, days: int) -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


def _id_at(moment: datetime) -> str:
    stamp = int(moment.timestamp() * 1000)
    return f"{stamp >> 16:08x}-{stamp & 0xFFFF:04x}-0000-0000-000000000000"


def _set_aside() -> None:
    op.execute("alter table deliveries rename to deliveries_first")
    op.execute("alter table deliveries_first rename constraint pk_deliveries to pk_deliveries_first")
    for name in INDEXES:
        op.execute(f"alter index ix_deliveries_{name} rename to ix_deliveries_first_{name}")


def _create_functions() -> None:
    sql = ROOT / "0008"
    for signature, returns, language, caller in HELPERS:
        name = f"{PRIVATE}.{signature.partition('(')[0]}"
        body = (sql / f"{signature.partition('(')[0]}.sql").read_text()
        op.execute(
            f"create function {PRIVATE}.{signature} returns {returns} language {language} as $function$ {body} $function$"
        )
        op.execute(f"revoke all on function {name} from public")
        if caller is not None:
            op.execute(f"grant execute on function {name} to {caller}")
    for signature, returns in LOOKING.items():
        name = signature.partition("(")[0]
        definer_function(op, signature, returns, (sql / f"{name}.sql").read_text())
        op.execute(f"revoke all on function {PRIVATE}.{name} from {SYSTEM}")
    # Statistics of a full day may say that nearly everything waits; the scan of what waits is never the slower one.
    op.execute(f"alter function {PRIVATE}.has_waiting_deliveries set enable_seqscan = off")
    op.execute(f"drop function {PRIVATE}.purge_deliveries")
    definer_function(op, PURGE, "integer", (sql / "purge_deliveries.sql").read_text())
    definer_function(op, *KEEP, (sql / "keep_delivery_partitions.sql").read_text())
    # It makes and drops tables, so it runs as their owner, who is bound by row level security and sees no row. The
    # lock's time-out is far below a sender's patience: whoever queues behind it waits no longer.
    op.execute(f"alter function {PRIVATE}.keep_delivery_partitions owner to current_user")
    op.execute(f"alter function {PRIVATE}.keep_delivery_partitions set lock_timeout = '200ms'")


def downgrade() -> None:
    """This will make the first partition the table again and bring it the rows of the others."""
    op.execute("alter table deliveries no force row level security")
    op.execute((ROOT / "0008" / "take_back.sql").read_text())
    for name in INDEXES:
        op.execute(f"alter index ix_deliveries_first_{name} rename to ix_deliveries_{name}")
    op.execute("alter table deliveries_first rename constraint pk_deliveries_first to pk_deliveries")
    op.execute("alter table deliveries_first rename to deliveries")
    op.execute(f"grant select, insert, update, delete on deliveries to {APP}")
    op.execute(f"revoke insert on deliveries from {DEFINER}")
    definer_grants(op, "deliveries", "select, update, delete")
    for signature in (KEEP[0], PURGE, *LOOKING, *(helper[0] for helper in reversed(HELPERS))):
        op.execute(f"drop function {PRIVATE}.{signature.partition('(')[0]}")
    definer_function(op, PURGE, "integer", (ROOT / "0003" / "purge_deliveries.sql").read_text())
