"""A list's ids can be copied from the narrowest terminal, and another program reads each row in one line."""

from __future__ import annotations

import pytest
from rich.console import Console

from app.cli import tables

ID = "01a1fe38-d4f4-740e-9cc8-61c1464cddce"
TEXT = "the body is not JSON: invalid literal, expected 'null', " * 4


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    table = tables.listing("id", "name", "reason")
    table.add_row(ID, "nightly-backup-of-the-whole-cluster", TEXT)
    tables.show_table(table)
    return capsys.readouterr().out.splitlines()


def test_a_pipe_gets_each_row_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (row,) = [line for line in printed(capsys) if ID in line]
    assert "nightly-backup-of-the-whole-cluster" in row
    assert TEXT.strip() in row


def test_a_narrow_terminal_cuts_no_id(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tables, "Console", lambda width=40: Console(width=width, force_terminal=True, color_system=None)
    )
    lines = printed(capsys)
    assert any(ID in line for line in lines)
    assert not any("…" in line for line in lines)
    assert max(map(len, lines)) <= 160
