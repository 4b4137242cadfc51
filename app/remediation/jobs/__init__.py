"""The work of remediation; importing it registers the handlers and the subscriber."""

from __future__ import annotations

from app.remediation.jobs.definitions import AdvanceRun, ExpireApproval, ExpireRun, StartRun, drive
from app.remediation.jobs.driving import advance
from app.remediation.jobs.starting import start_run

__all__ = ["AdvanceRun", "ExpireApproval", "ExpireRun", "StartRun", "advance", "drive", "start_run"]
