"""``tocsin health``: each part of a running Tocsin, and a status for scripts (A15, E16)."""

from __future__ import annotations

from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(add_completion=False)


@app.command()
def health(
    url: Annotated[
        str, typer.Option(envvar="TOCSIN_HTTP__PUBLIC_URL", help="Base URL of the API.")
    ] = "http://127.0.0.1:8080",
) -> None:
    """Show the health of a running Tocsin; exits 1 when a part fails."""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/health", timeout=10)
        body = answer.json()
        checks, status = body["checks"], body["status"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        typer.secho(
            f"{url} does not answer as Tocsin does ({type(error).__name__}). Is it running there? --url says where else.",
            fg="red",
            err=True,
        )
        raise typer.Exit(1) from None
    table = Table("part", "status", "ms", "details")
    for name, check in checks.items():
        details = ", ".join(f"{key}: {value}" for key, value in check.items() if key not in ("status", "duration_ms"))
        table.add_row(name, check["status"], str(check["duration_ms"]), details)
    Console().print(table)
    if status != "healthy":
        raise typer.Exit(1)
