from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from app.cli.health import app


class Stranger(BaseHTTPRequestHandler):
    """Some other service: it answers /health, and not as Tocsin does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_service_at_the_address_is_one_line_that_says_what_to_do(stranger: str) -> None:
    result = CliRunner().invoke(app, ["--url", stranger])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{stranger} does not answer as Tocsin does")
    assert "--url" in result.stderr
