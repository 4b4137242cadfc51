"""Running the migrations from code, under an advisory lock, with time-outs that keep traffic going."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

ROOT = Path(__file__).resolve().parents[2]


def alembic_config(owner_url: str) -> Config:
    """This will return alembic's configuration for the given URL, free of the working directory."""
    config = Config(str(ROOT / "alembic.ini"))
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["url"] = owner_url
    return config


def upgrade(owner_url: str, revision: str = "head") -> None:
    """This will migrate up to ``revision``; blocking, so call it outside a running loop's thread."""
    command.upgrade(alembic_config(owner_url), revision)


def downgrade(owner_url: str, revision: str) -> None:
    """This will migrate down to ``revision``."""
    command.downgrade(alembic_config(owner_url), revision)
