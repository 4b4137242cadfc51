from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.core.ids import new_id
from app.http.pagination import InvalidCursor, cursor_key, decode_cursor, encode_cursor
from app.settings import Settings
from app.settings.http import HttpSettings
from app.settings.security import SecuritySettings
from tests.http.test_problem import assert_problem
from tests.http.world import bare_resources, client_of, framed

KEY = b"k" * 32
A = {"x-tenant": "a"}
B = {"x-tenant": "b"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(framed(bare_resources())[1]) as client:
        yield client


@given(JSON, st.binary(max_size=50))
def test_a_cursor_comes_back_as_it_went(value: Any, binding: bytes) -> None:
    assert decode_cursor(KEY, binding, encode_cursor(KEY, binding, value)) == value


def test_ids_and_times_are_positions() -> None:
    position = [datetime(2030, 1, 7, tzinfo=UTC), new_id()]
    back = decode_cursor(KEY, b"", encode_cursor(KEY, b"", position))
    assert back == ["2030-01-07T00:00:00+00:00", str(position[1])]


@given(JSON, st.binary(max_size=10), st.data())
def test_one_changed_character_is_noticed(value: Any, binding: bytes, data: st.DataObject) -> None:
    cursor = encode_cursor(KEY, binding, value)
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters().filter(lambda character: character != cursor[at]))
    with pytest.raises(InvalidCursor):
        decode_cursor(KEY, binding, cursor[:at] + other + cursor[at + 1 :])


@given(JSON, st.data())
def test_one_character_more_or_less_is_noticed(value: Any, data: st.DataObject) -> None:
    cursor = encode_cursor(KEY, b"", value)
    at = data.draw(st.integers(0, len(cursor) - 1))
    extra = data.draw(st.sampled_from(["=", "A", " ", "\n", "+", "/", "%"]))
    for changed in (cursor[:at] + extra + cursor[at:], cursor[:at] + cursor[at + 1 :], cursor + extra, cursor[:-1]):
        if changed != cursor:
            with pytest.raises(InvalidCursor):
                decode_cursor(KEY, b"", changed)


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_a_cursor_of_another_binding_or_key_is_refused(one: bytes, two: bytes) -> None:
    cursor = encode_cursor(KEY, one, 1)
    if one != two:
        with pytest.raises(InvalidCursor):
            decode_cursor(KEY, two, cursor)
    with pytest.raises(InvalidCursor):
        decode_cursor(b"x" * 32, one, cursor)


def test_the_binding_cannot_flow_into_the_position() -> None:
    # Without the binding's length in the signature, binding "t" + body "1" would sign the same bytes as "" + "t1".
    cursor = encode_cursor(KEY, b"[1", 2)
    raw = base64.urlsafe_b64decode(cursor + "==")
    moved = base64.urlsafe_b64encode(raw[:16] + b"[1" + raw[16:]).rstrip(b"=").decode()
    with pytest.raises(InvalidCursor):
        decode_cursor(KEY, b"", moved)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(KEY, b"", text)


def test_the_key_follows_its_setting_else_the_pepper() -> None:
    def key(own: str, pepper: str) -> bytes:
        return cursor_key(
            Settings(
                _env_file=None,
                http=HttpSettings(cursor_key=SecretStr(own)),
                security=SecuritySettings(token_pepper=SecretStr(pepper)),
            )
        )

    assert key("own", "one") == key("own", "two")
    assert key("", "one") != key("", "two")


async def test_pages_follow_one_another_to_the_end(client: httpx.AsyncClient) -> None:
    seen: list[int] = []
    url: str | None = "/v1/notes?limit=4"
    while url is not None:
        page = (await client.get(url, headers=A)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        url = f"/v1/notes?limit=4&cursor={cursor}" if cursor else None
    assert seen == list(range(1, 11))


@pytest.mark.parametrize("total", [4, 0])
async def test_an_exactly_full_or_empty_page_is_the_last(client: httpx.AsyncClient, total: int) -> None:
    page = (await client.get("/v1/notes", params={"limit": 4, "total": total}, headers=A)).json()
    assert len(page["items"]) == total
    assert page["next_cursor"] is None


async def test_a_cursor_holds_for_its_tenant_list_and_filters_only(client: httpx.AsyncClient) -> None:
    cursor = (await client.get("/v1/notes?limit=2&kind=x", headers=A)).json()["next_cursor"]
    good = await client.get(f"/v1/notes?limit=3&kind=x&cursor={cursor}", headers=A)
    assert good.json()["items"] == [3, 4, 5]
    for path, headers in (
        (f"/v1/notes?kind=x&cursor={cursor}", B),
        (f"/v1/others?kind=x&cursor={cursor}", A),
        (f"/v1/notes?kind=y&cursor={cursor}", A),
        (f"/v1/notes?cursor={cursor}", A),
        (f"/v1/notes?kind=x&kind=y&cursor={cursor}", A),
    ):
        assert_problem(await client.get(path, headers=headers), status=400, code="cursor.invalid")


@pytest.mark.parametrize("limit", ["0", "-1", "201", "1000000000", str(2**63), "x", "1.5", ""])
async def test_a_limit_out_of_range_is_refused(client: httpx.AsyncClient, limit: str) -> None:
    assert_problem(await client.get("/v1/notes", params={"limit": limit}), status=422, code="validation")


@pytest.mark.parametrize("limit", [1, 200])
async def test_the_ends_of_the_range_are_in_it(client: httpx.AsyncClient, limit: int) -> None:
    assert (await client.get("/v1/notes", params={"limit": limit})).status_code == 200


@pytest.mark.parametrize("cursor", ["", "x", "'; drop table incidents", "eyJhbGciOiJub25lIn0", "\u00e9", "A" * 1024])
async def test_an_invented_cursor_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    assert_problem(await client.get("/v1/notes", params={"cursor": cursor}), status=400, code="cursor.invalid")
