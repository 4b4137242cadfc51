"""When a token may end: a time in the future, with its offset."""

from __future__ import annotations

import json

import httpx
import pytest

from app.auth.rules import Role


@pytest.mark.parametrize(
    ("expires_at", "status", "code"),
    [
        ("2030-01-08T12:00:00Z", 201, None),
        ("2030-01-07T14:00:00+01:00", 201, None),
        (None, 201, None),
        ("2030-01-07T12:00:00Z", 422, "token.expiry_in_past"),
        ("2030-01-07T12:59:59+01:00", 422, "token.expiry_in_past"),
        ("2031-01-01T00:00:00", 422, "validation"),
        ("9999-12-31T23:59:59-14:00", 422, "validation"),
        ("0001-01-01T00:00:00+14:00", 422, "validation"),
        ("soon", 422, "validation"),
    ],
)
async def test_expiry(
    api: httpx.AsyncClient, tokens: dict[Role, str], expires_at: str | None, status: int, code: str | None
) -> None:
    body = {"name": "n", "role": "viewer", "expires_at": expires_at}
    answer = await api.post("/v1/tokens", json=body, headers={"Authorization": tokens[Role.ADMIN]})
    assert (answer.status_code, answer.json().get("code")) == (status, code)


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "nul\x00", "half \ud800", 5, None, {"$ne": 1}])
async def test_names_that_are_none_are_refused(api: httpx.AsyncClient, tokens: dict[Role, str], name: object) -> None:
    content = json.dumps({"name": name, "role": "viewer"}).encode()
    headers = {"Authorization": tokens[Role.ADMIN], "Content-Type": "application/json"}
    answer = await api.post("/v1/tokens", content=content, headers=headers)
    assert answer.status_code == 422, answer.text
