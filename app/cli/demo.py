"""``tocsin demo``: the same as ``tocsin up``, but it ends, with a status that can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.up import DEFAULT_PORT, DataDir, Port, run
from app.embedded.folder import DEFAULT

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    data_dir: DataDir = DEFAULT,
    port: Port = DEFAULT_PORT,
    picture: Annotated[
        Path | None, typer.Option(help="Also write what the terminal showed, as SVG.", hidden=True)
    ] = None,
) -> None:
    """Start Tocsin, show the main job and exit: 0 only when every step was seen."""
    raise typer.Exit(run(data_dir, port, demo=True, stay=False, picture=picture))
