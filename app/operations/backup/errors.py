"""Everything that can go wrong with a backup, each told so that the reader knows what to do.

BackupError
 |- ProgramMissing      no pg_dump that fits the server
 |- ProgramFailed       pg_dump, pg_restore or psql ended with an error
 |- FolderBusy          another backup is being written there
 |- BackupUnreadable    no manifest, or not one of ours
 |- BackupTooNew        made by a release that this one does not know
 |- BackupDamaged       the dump is not the one that the manifest describes
 |- KeyMissing          the dump is sealed with a key that is not configured
 |- DatabaseNotReady    it does not answer, lacks its roles, hides something, or the two URLs do not meet
 |- TargetNotEmpty      there is something in the database that would be lost
 '- RestoreIncomplete   restored, but not what was backed up
"""

from __future__ import annotations

from collections.abc import Sequence


class BackupError(RuntimeError):
    """Base of what is told to the operator instead of a traceback."""


class ProgramMissing(BackupError):
    """PostgreSQL's client programs are not there, or too old for the server."""


class ProgramFailed(BackupError):
    """One of PostgreSQL's programs ended with an error; the message ends with what it said."""


class FolderBusy(BackupError):
    """Another process writes a backup into the folder."""


class BackupUnreadable(BackupError):
    """There is no manifest, or it is not one."""


class BackupTooNew(BackupError):
    """The backup was made by a newer release."""


class BackupDamaged(BackupError):
    """The dump's size or checksum is not the manifest's."""


class KeyMissing(BackupError):
    """A sealed dump's key is not configured."""


class DatabaseNotReady(BackupError):
    """The database cannot be backed up, or restored into, as it is."""


class TargetNotEmpty(BackupError):
    """The database holds something already."""


class RestoreIncomplete(BackupError):
    """What was restored differs from what was backed up."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__(
            "the restored database is not what was backed up; do not let traffic in:\n  " + "\n  ".join(findings)
        )
        self.findings = list(findings)
