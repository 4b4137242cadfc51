"""Ratings through the API, with the operations guides' parameters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.core.clock import FakeClock
from app.core.ids import TenantId, new_id
from app.db.engine import Database
from tests.enhancement.callers import Client, an_enhancement


async def test_feedback_by_stars_thumb_or_ticket_number(
    responder: Client, viewer: Client, database: Database, tenant_id: TenantId
) -> None:
    enhancement_id = await an_enhancement(database, tenant_id)
    first = await responder("POST", "/feedback", json={"enhancement_id": str(enhancement_id), "rating": 5})
    second = await responder(
        "POST",
        "/feedback",
        json={
            "ticket_id": "1001",
            "thumbs": "down",
            "rating": 2,
            "reason_code": "wrong_cause",
            "comment": "It was DNS. password=Hunter2Hunter2",
            "technician": "Grace",
        },
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert (first.json()["sentiment"], second.json()["sentiment"]) == ("positive", "negative")
    assert second.json()["model"] == "first"
    assert "Hunter2" not in second.text

    listed = (await viewer("GET", "/feedback")).json()
    assert [item["id"] for item in listed["items"]] == [second.json()["id"], first.json()["id"]]
    low = (await viewer("GET", "/feedback", params={"max_rating": 3})).json()
    assert [item["rating"] for item in low["items"]] == [2]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"ticket_id": "404", "rating": 5}, 404, "enhancement.nothing_to_rate"),
        ({"enhancement_id": str(new_id()), "rating": 5}, 404, "enhancement.nothing_to_rate"),
        ({"ticket_id": "1001"}, 422, "validation"),
        ({"rating": 5}, 422, "validation"),
        ({"ticket_id": "1001", "rating": 6}, 422, "validation"),
        ({"ticket_id": "1001", "rating": 5, "enhancement_id": str(new_id())}, 422, "validation"),
        ({"ticket_id": "1001", "rating": 5, "model": "mine"}, 422, "validation"),
        ({"ticket_id": "1001", "rating": 5, "comment": "a\x00b"}, 422, "validation"),
    ],
)
async def test_feedback_that_cannot_be_taken(
    responder: Client, database: Database, tenant_id: TenantId, body: dict[str, Any], status: int, code: str
) -> None:
    await an_enhancement(database, tenant_id)
    refused = await responder("POST", "/feedback", json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_stats_over_the_guides_dates(
    responder: Client, viewer: Client, database: Database, tenant_id: TenantId, clock: FakeClock
) -> None:
    enhancement_id = await an_enhancement(database, tenant_id)
    day = clock.now().date()
    for rating in (5, 5, 4, 1):
        given = await responder("POST", "/feedback", json={"enhancement_id": str(enhancement_id), "rating": rating})
        assert given.status_code == 201
    clock.advance(timedelta(days=2))
    await responder("POST", "/feedback", json={"enhancement_id": str(enhancement_id), "rating": 3})

    everything = (await viewer("GET", "/feedback/stats", params={"tenant_id": str(tenant_id)})).json()
    assert (everything["count"], everything["average_rating"]) == (5, 3.6)
    assert everything["ratings"] == {"1": 1, "2": 0, "3": 1, "4": 1, "5": 2}
    assert everything["positive_share"] == 0.6
    assert (everything["meets_rating_target"], everything["meets_sentiment_target"]) == (False, False)
    assert [entry["count"] for entry in everything["by_day"]] == [4, 1]

    first_day = {"start_date": str(day), "end_date": str(day)}
    early = (await viewer("GET", "/feedback/stats", params=first_day)).json()
    assert (early["count"], early["average_rating"], early["meets_sentiment_target"]) == (4, 3.75, True)
    listed = (await viewer("GET", "/feedback", params=first_day)).json()["items"]
    assert len(listed) == 4

    empty = (
        await viewer("GET", "/feedback/stats", params={"start_date": "2020-01-01", "end_date": "2020-01-02"})
    ).json()
    assert (empty["count"], empty["average_rating"], empty["meets_rating_target"]) == (0, None, None)


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"start_date": "2026-02-01", "end_date": "2026-01-01"}, 422, "enhancement.dates_reversed"),
        ({"start_date": "yesterday"}, 422, "validation"),
        ({"end_date": "9999-12-31"}, 422, "validation"),
        ({"tenant": "x"}, 422, "enhancement.unknown_parameter"),
        ({"tenant_id": str(new_id())}, 404, "enhancement.no_such_tenant"),
    ],
)
@pytest.mark.parametrize("path", ["/feedback", "/feedback/stats"])
async def test_questions_that_cannot_be_answered(
    viewer: Client, path: str, params: dict[str, str], status: int, code: str
) -> None:
    refused = await viewer("GET", path, params=params)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
