"""No migration holds up traffic or breaks the release that is still running; each way of doing so is found."""

from __future__ import annotations

from types import ModuleType

import pytest
from alembic.script import ScriptDirectory

from app.db.migrate import alembic_config
from tests.migrations.linting import ALTERATIONS, STATEMENTS, offences, split, statements_of, unaccepted

SCRIPTS = {script.revision: script for script in ScriptDirectory.from_config(alembic_config("")).walk_revisions()}


@pytest.mark.parametrize("revision", sorted(SCRIPTS))
def test_a_migration_is_safe_while_traffic_runs(revision: str) -> None:
    assert unaccepted(SCRIPTS[revision].module) == []


@pytest.mark.parametrize("revision", sorted(SCRIPTS))
def test_what_a_migration_accepts_it_does_and_explains(revision: str) -> None:
    module = SCRIPTS[revision].module
    accepted: dict[str, str] = getattr(module, "ACCEPTED", {})
    assert set(accepted) == {offence.rule for offence in offences(statements_of(module))} & set(accepted)
    assert all(len(reason) > 20 for reason in accepted.values())


@pytest.mark.parametrize("revision", sorted(SCRIPTS))
def test_a_migration_can_be_taken_back(revision: str) -> None:
    module = SCRIPTS[revision].module
    assert module.downgrade.__doc__
    assert SCRIPTS[revision].doc, "say what it does, and why"


DANGEROUS = {
    "alter table jobs alter column attempt type bigint": "type",
    "alter table jobs alter attempt set data type bigint": "type",
    "ALTER TABLE public.jobs ALTER COLUMN worker SET NOT NULL": "not null",
    "alter table jobs add column shade text not null": "needed column",
    "alter table jobs add shade text not null": "needed column",
    "alter table jobs add column shade uuid default gen_random_uuid()": "volatile default",
    "alter table jobs add column seen timestamptz not null default clock_timestamp()": "volatile default",
    "alter table jobs add column n int generated always as (attempt + 1) stored": "stored column",
    "alter table jobs drop column worker": "drop column",
    "alter table if exists only jobs drop worker": "drop column",
    "alter table jobs drop constraint ck_jobs_state": "drop constraint",
    "alter table jobs rename column worker to runner": "rename",
    "alter table jobs rename to work": "rename",
    "alter table jobs add constraint c check (attempt >= 0)": "unchecked constraint",
    "alter table jobs add constraint f foreign key (tenant_id, id) references effects (tenant_id, id)": "unchecked constraint",
    "alter table jobs add constraint u unique (tenant_id, kind)": "unique by table",
    "alter table jobs add primary key (id)": "unique by table",
    "alter table jobs no force row level security": "isolation",
    "alter table jobs disable row level security": "isolation",
    "alter table jobs set unlogged": "rewrite",
    "alter table jobs attach partition old for values from (1) to (2)": "attach",
    "create index ix on jobs (kind)": "index",
    "create unique index ix on public.jobs (kind)": "index",
    "create index if not exists ix on only jobs using brin (created_at)": "index",
    "drop table effects": "drop table",
    "update jobs set priority = 1": "update",
    "delete from jobs where state = 'dead'": "delete",
    "truncate jobs": "truncate",
    "lock table jobs in access exclusive mode": "lock",
    "insert into effects (tenant_id) select tenant_id from jobs": "insert from a table",
    "drop index ix_jobs_due": "drop index",
    "vacuum full jobs": "rewrite",
    "reindex table jobs": "rewrite",
    "set lock_timeout = '1h'": "time-out",
    "select set_config('statement_timeout', '0', false)": "time-out",
}


@pytest.mark.parametrize("statement", DANGEROUS)
def test_each_danger_is_found(statement: str) -> None:
    found = offences(list(split(f"select 1; {statement}; select 2")))
    assert [offence.rule for offence in found] == [DANGEROUS[statement]]


def test_every_rule_is_tried() -> None:
    assert set(DANGEROUS.values()) == {*ALTERATIONS, *STATEMENTS, "index"}


HARMLESS = [
    "alter table jobs add column shade text",
    "alter table jobs add column shade text not null default 'dark'",
    "alter table jobs add column seen timestamptz not null default now()",
    "alter table jobs add constraint c check (attempt >= 0) not valid",
    "alter table jobs validate constraint c",
    "alter table jobs add constraint u unique using index ix",
    "alter table jobs alter column worker drop not null",
    "alter table jobs alter column worker drop default",
    "alter table jobs alter column worker set default ''",
    "create index concurrently ix on jobs (kind)",
    "drop index concurrently ix_jobs_due",
    "create table fresh (id uuid not null); create index ix on fresh (id); alter table fresh add constraint c check (true)",
    "create table fresh (id uuid); insert into fresh values (gen_random_uuid()); update fresh set id = null",
    "create function f() returns void language plpgsql as $function$ begin update jobs set state = 'dead'; end $function$",
    "comment on table jobs is 'drop table jobs; update jobs set state = 1'",
    "-- drop table jobs;\nselect 1",
    "grant select on jobs to tocsin_backup",
]


@pytest.mark.parametrize("script", HARMLESS)
def test_what_is_harmless_passes(script: str) -> None:
    assert offences(list(split(script))) == []


def test_alembics_own_operations_are_seen_too() -> None:
    module = ModuleType("dangerous")
    source = (
        "import sqlalchemy as sa\nfrom alembic import op\n"
        "def upgrade():\n"
        "    op.add_column('jobs', sa.Column('shade', sa.Text, nullable=False))\n"
        "    op.create_index('ix', 'jobs', ['kind'])\n"
        "    op.alter_column('jobs', 'attempt', type_=sa.BigInteger)\n"
        "    op.drop_column('jobs', 'worker')\n"
    )
    exec(compile(source, "dangerous", "exec"), module.__dict__)
    assert [offence.rule for offence in unaccepted(module)] == ["needed column", "index", "type", "drop column"]
    module.__dict__["ACCEPTED"] = {"index": "the table is small for good", "type": "", "drop column": "contract"}
    assert [offence.rule for offence in unaccepted(module)] == ["needed column"]
