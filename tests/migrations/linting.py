"""What a migration may not do while traffic runs, found in the SQL that it would send.

The statements are taken from the migration itself, run offline, so it does not matter whether they were written as SQL or
with alembic's operations. A table that the same migration creates may be treated freely: nobody uses it yet.

A migration that must break a rule says so in its ``ACCEPTED`` constant: the rule's name and why it holds there. A contract
migration, which takes away what no running release uses any more, accepts the rules it is there to break.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

from alembic.migration import MigrationContext
from alembic.operations import Operations

_NAME = r'(?:if (?:not )?exists )?(?:only )?(?:public\.)?"?(\w+)"?'
_CREATED = re.compile(rf"^create (?:unlogged )?table {_NAME}")
_RENAMED = re.compile(rf"^alter table {_NAME} rename to \"?(\w+)")
_ALTERED = re.compile(rf"^alter table {_NAME} (.*)$", re.DOTALL)
_INDEXED = re.compile(r'^create (?:unique )?index (concurrently )?.*? on (?:only )?(?:public\.)?"?(\w+)"?')
_VOLATILE = re.compile(r"\b(gen_random_uuid|random|clock_timestamp|timeofday|nextval|uuidv[47]|uuid_generate\w*)\s*\(")


@dataclass(frozen=True)
class Offence:
    """A statement that would hold up traffic or break the release that is still running."""

    rule: str
    statement: str


def _adds_needed_column(action: str) -> bool:
    return (
        re.search(r"\badd (?:column )?(?!constraint\b)", action) is not None
        and "not null" in action
        and not re.search(r"\bdefault\b|\bgenerated\b", action)
    )


def _scans(action: str) -> bool:
    return (
        re.search(r"\badd (?:constraint \S+ )?(?:check|foreign key)\b", action) is not None
        and "not valid" not in action
    )


# Name, what it finds in the action of an ALTER TABLE on a table that was there before.
ALTERATIONS: dict[str, Callable[[str], object]] = {
    "type": re.compile(r"\balter (?:column )?\S+ (?:set data )?type\b").search,
    "not null": re.compile(r"\balter (?:column )?\S+ set not null\b").search,
    "needed column": _adds_needed_column,
    "volatile default": lambda action: re.search(r"\badd (?:column )?", action) and _VOLATILE.search(action),
    "stored column": re.compile(r"\badd (?:column )?.*\bgenerated always as .* stored\b").search,
    "drop column": re.compile(
        r"\bdrop (?:column )?(?!constraint\b|default\b|not null\b|expression\b|identity\b)"
    ).search,
    "drop constraint": re.compile(r"\bdrop constraint\b").search,
    "rename": re.compile(r"^rename (?!constraint\b)").search,
    "unchecked constraint": _scans,
    "unique by table": re.compile(r"\badd (?:constraint \S+ )?(?:unique|primary key)\b(?!.*\busing index\b)").search,
    "isolation": re.compile(r"\b(?:disable row level security|no force row level security)\b").search,
    "rewrite": re.compile(r"\bset (?:unlogged|logged|tablespace|access method)\b").search,
    "attach": re.compile(r"^attach partition\b").search,
}
# The same for other statements: what they match, and which group names the table, if any.
STATEMENTS: dict[str, tuple[re.Pattern[str], int]] = {
    "drop table": (re.compile(rf"^drop table {_NAME}"), 1),
    "update": (re.compile(rf"^update {_NAME}"), 1),
    "delete": (re.compile(rf"^delete from {_NAME}"), 1),
    "truncate": (re.compile(rf"^truncate (?:table )?{_NAME}"), 1),
    "lock": (re.compile(rf"^lock (?:table )?{_NAME}"), 1),
    "insert from a table": (re.compile(rf"^insert into (?:public\.)?\w+.*\bselect\b.*\bfrom {_NAME}"), 1),
    "drop index": (re.compile(r"^drop index (?!concurrently)"), 0),
    "rewrite": (re.compile(r"^(?:vacuum full|cluster|reindex (?!.*concurrently))"), 0),
    "time-out": (re.compile(r"^(?:set|select (?:pg_catalog\.)?set_config).*(?:lock_timeout|statement_timeout)"), 0),
}


def statements_of(module: ModuleType) -> list[str]:
    """This will return what the migration's upgrade would send, one statement each, in lower case and single spaces."""
    buffer = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer, "literal_binds": True}
    )
    with Operations.context(context):
        module.upgrade()
    return list(split(buffer.getvalue()))


def split(script: str) -> Iterator[str]:
    """This will yield the statements of a script; semicolons in quotes, comments and function bodies end none."""
    token = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\"[^\"]*\"|\$(\w*)\$.*?\$\1\$|;|[^;'\"$-]+|.", re.DOTALL)
    current: list[str] = []
    for match in token.finditer(f"{script};"):
        piece = match.group(0)
        if piece.startswith("--"):
            continue
        if piece != ";":
            current.append(piece)
            continue
        statement = re.sub(r"\s+", " ", "".join(current)).strip().lower()
        current = []
        if statement:
            yield statement


def offences(statements: list[str]) -> list[Offence]:
    """This will name what would not be safe, statement by statement."""
    ours: set[str] = set()
    found: list[Offence] = []
    for statement in statements:
        if (created := _CREATED.match(statement)) is not None:
            ours.add(created.group(1))
        found += [Offence(rule, statement) for rule in _broken(statement, ours)]
        if (renamed := _RENAMED.match(statement)) is not None and renamed.group(1) in ours:
            ours.add(renamed.group(2))
    return found


def _broken(statement: str, ours: set[str]) -> Iterator[str]:
    altered, indexed = _ALTERED.match(statement), _INDEXED.match(statement)
    if altered is not None and altered.group(1) not in ours:
        yield from (rule for rule, finds in ALTERATIONS.items() if finds(altered.group(2)))
    if indexed is not None and indexed.group(2) not in ours and not indexed.group(1):
        yield "index"
    for rule, (pattern, group) in STATEMENTS.items():
        match = pattern.match(statement)
        if match is not None and not (group and match.group(group) in ours):
            yield rule


def unaccepted(module: ModuleType) -> list[Offence]:
    """This will return what the migration does and does not account for."""
    accepted = getattr(module, "ACCEPTED", {})
    return [offence for offence in offences(statements_of(module)) if offence.rule not in accepted]
