"""Which operating system account runs PostgreSQL, and where its files may live.

PostgreSQL refuses to run as root. As root we therefore run it as a system account of its own, and keep its files
under a directory that this account can reach; nobody's home directory is opened up for that.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "tocsin-postgres"
ROOT_BASE = Path("/var/lib/tocsin")
# sun_path is 108 bytes on Linux, and the file name ".s.PGSQL.5432" takes 14 of them.
MAX_SOCKET_DIR = 90


@dataclass(frozen=True)
class Placement:
    """Where the server's files are, and as whom it runs.

    Attributes:
        data: PostgreSQL's data directory.
        sockets: Directory of the Unix socket, mode 0700.
        binaries: Directory with ``initdb`` and ``postgres``.
        account: Account to switch to, or None to stay who we are.
    """

    data: Path
    sockets: Path
    binaries: Path
    account: pwd.struct_passwd | None


def place(folder: Path, installed: Path) -> Placement:
    """This will decide the placement for the data folder of one stack and make the directories.

    Args:
        folder: The stack's data folder.
        installed: ``bin`` directory of the packaged PostgreSQL.
    """
    instance = _instance_of(folder)
    if os.geteuid() != 0:
        sockets = folder / "sockets"
        if len(str(sockets).encode()) > MAX_SOCKET_DIR:
            sockets = Path(tempfile.gettempdir()) / f"tocsin-{os.geteuid()}-{instance}"
        _private_directory(folder / "postgres", None)
        _private_directory(sockets, None)
        return Placement(folder / "postgres", sockets, installed, None)
    account = _ensure_account()
    ROOT_BASE.mkdir(mode=0o755, parents=True, exist_ok=True)
    base = ROOT_BASE / instance
    base.mkdir(mode=0o755, exist_ok=True)
    (base / "belongs-to").write_text(f"{folder}\n")
    _remove_orphans(base)
    _private_directory(base / "postgres", account)
    _private_directory(base / "sockets", account)
    return Placement(base / "postgres", base / "sockets", _reachable_binaries(installed), account)


def _instance_of(folder: Path) -> str:
    """Name the folder once: a folder that was deleted and made anew must not find the old one's database."""
    marker = folder / "instance-id"
    if not marker.exists():
        marker.write_text(secrets.token_hex(6))
    return marker.read_text().strip()


def _remove_orphans(base: Path) -> None:
    """Delete the data of folders that are gone."""
    for other in ROOT_BASE.iterdir():
        owner = other / "belongs-to"
        if other == base or not owner.is_file():
            continue
        marker = Path(owner.read_text().strip()) / "instance-id"
        if not marker.is_file() or marker.read_text().strip() != other.name:
            shutil.rmtree(other, ignore_errors=True)


def _private_directory(path: Path, account: pwd.struct_passwd | None) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or found.st_uid not in {os.geteuid(), account.pw_uid if account else os.geteuid()}:
        raise PermissionError(f"{path} belongs to somebody else; remove it or choose another data folder")
    path.chmod(0o700)
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def _ensure_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        command = [
            "useradd",
            "--system",
            "--no-create-home",
            "--home-dir",
            str(ROOT_BASE),
            "--shell",
            "/usr/sbin/nologin",
        ]
        subprocess.run([*command, ACCOUNT], check=True, capture_output=True)  # noqa: S603 - fixed argv
        return pwd.getpwnam(ACCOUNT)


def _reachable_binaries(installed: Path) -> Path:
    """Copy the packaged server to where the account can reach it, once a version, unless it already can."""
    if all(parent.stat().st_mode & 0o001 for parent in (installed, *installed.parents)):
        return installed
    package = installed.parents[1]
    libraries = package.parent / f"{package.name}.libs"
    stamp = hashlib.sha256(f"{package}{(installed / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
    target = ROOT_BASE / f"server-{stamp}"
    if not (target / "complete").exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(package, target / package.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, target / libraries.name, symlinks=True)
        for path in target.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
        target.chmod(0o755)
        (target / "complete").touch()
    return target / installed.relative_to(package.parent)
