"""``tocsin smtp``: receive mail for email sources."""

from __future__ import annotations

import typer

app = typer.Typer(add_completion=False)


@app.command()
def smtp() -> None:
    """Receive mail for email sources until stopped; TOCSIN_SMTP__... say where and how much."""
    from app.smtp.__main__ import main

    main()
