"""Grafana OnCall's formatted webhook at its own path."""

from __future__ import annotations

import pytest

from tests.ingest.dropin.conftest import World

ALERT = {"alert_uid": "u1", "title": "Disk full", "state": "alerting", "message": "97 %"}


@pytest.mark.parametrize("path", ["formatted_webhook/{key}/", "formatted_webhook/{key}", "webhook/{key}/"])
async def test_alerting_opens_and_ok_resolves(world: World, path: str) -> None:
    mover = await world.mover("oncall")
    url = f"/integrations/v1/{path.format(key=mover.key)}"
    answer = await world.api.post(url, json=ALERT)
    assert (answer.status_code, answer.text) == (200, "Ok.")
    await mover.work()
    assert await mover.states() == [("Disk full", "open")]
    assert (await world.api.post(url, json=ALERT | {"state": "ok"})).status_code == 200
    await mover.work()
    assert await mover.states() == [("Disk full", "resolved")]


@pytest.mark.parametrize("token", ["x" * 40, "nothing", "%2e%2e%2f", "a" * 290])
async def test_a_token_of_nobody_is_refused(world: World, token: str) -> None:
    answer = await world.api.post(f"/integrations/v1/formatted_webhook/{token}/", json=ALERT)
    assert (answer.status_code, answer.text) == (403, "Permission denied.")


async def test_another_method_and_an_encoding_are_refused(world: World) -> None:
    mover = await world.mover("oncall")
    url = f"/integrations/v1/formatted_webhook/{mover.key}/"
    assert (await world.api.get(url)).status_code == 405
    answer = await world.api.post(url, content=b"x", headers={"content-encoding": "br"})
    assert answer.status_code == 415


async def test_a_body_of_another_shape_is_kept_as_rejected(world: World) -> None:
    mover = await world.mover("oncall")
    url = f"/integrations/v1/formatted_webhook/{mover.key}/"
    assert (await world.api.post(url, content=b"[]")).status_code == 200
    await mover.work()
    [delivery] = await mover.rows("select state, reason from deliveries")
    assert delivery == {"state": "rejected", "reason": "body.unexpected_shape"}
