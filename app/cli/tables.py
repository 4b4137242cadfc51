"""Lists on the terminal: what a reader copies out of them, or another program reads, stands there whole."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

# A narrower terminal breaks the lines itself, which reads better than cells of three letters.
_LEGIBLE = 160
_PIPED = 1_000


def listing(*columns: str) -> Table:
    """This will return a table whose first column, the id or name that other commands take, is never cut or broken."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, no_wrap=number == 0, overflow="fold")
    return table


def show_table(table: Table) -> None:
    """This will print the table as wide as it needs to be: without an end where no person reads it."""
    console = Console()
    most = _LEGIBLE if console.is_terminal else _PIPED
    needed = console.measure(table, options=console.options.update(max_width=most)).maximum
    Console(width=max(console.width, needed)).print(table)
