"""B29, B30: pages and filters that nobody was offered."""

from __future__ import annotations

import base64

import httpx
import pytest

from app.auth.rules import Role
from app.core.ids import new_id
from app.main import Application

Tokens = dict[Role, str]
FIELDS = ["tenant_id", "password", "id; drop table incidents", "__class__", "sort", "order_by", "fields", "where"]


def lists(application: Application) -> list[str]:
    paths = application.api.openapi()["paths"]
    found = [
        path
        for path, item in paths.items()
        if "{" not in path and "get" in item and any(p["name"] == "cursor" for p in item["get"].get("parameters", []))
    ]
    assert len(found) >= 14, "the document has lost its lists"
    return found


def admin(tokens: Tokens) -> dict[str, str]:
    return {"authorization": tokens[Role.ADMIN]}


async def answered(api: httpx.AsyncClient, path: str, tokens: Tokens, operator: str, **query: str) -> httpx.Response:
    token = operator if path.startswith("/v1/admin/tenants") else tokens[Role.ADMIN]
    return await api.get(path, params=query, headers={"authorization": token})


@pytest.mark.attack("B29")
@pytest.mark.parametrize(
    "limit", ["1000000000", "0", "-1", "9223372036854775808", "1e3", "nan", "", "50; drop", "\u0665"]
)
async def test_a_page_of_a_size_that_no_page_has(
    application: Application, api: httpx.AsyncClient, tokens: Tokens, operator_token: str, limit: str
) -> None:
    for path in lists(application):
        answer = await answered(api, path, tokens, operator_token, limit=limit)
        taken = limit == "\u0665" and answer.status_code == 200  # a five is a five; the parser's business, and bounded
        assert taken or (answer.status_code, answer.json()["code"]) == (422, "validation"), f"{path}: {answer.text}"


@pytest.mark.attack("B29")
@pytest.mark.parametrize("kind", ["junk", "json", "uuid", "empty", "long", "nul", "padding", "offset"])
async def test_a_cursor_that_we_did_not_make(
    application: Application, api: httpx.AsyncClient, tokens: Tokens, operator_token: str, kind: str
) -> None:
    made = {
        "junk": "A" * 40,
        "json": base64.urlsafe_b64encode(b"0" * 16 + b'"2030-01-01"').decode(),
        "uuid": str(new_id()),
        "empty": "",
        "long": "A" * 1025,
        "nul": "A\x00A",
        "padding": "QUJD====",
        "offset": "-5",
    }
    for path in lists(application):
        answer = await answered(api, path, tokens, operator_token, cursor=made[kind])
        code = answer.json()["code"]
        assert (answer.status_code, code) in ((400, "cursor.invalid"), (422, "validation")), f"{path}: {answer.text}"


@pytest.mark.attack("B29")
async def test_a_cursor_of_another_tenant_list_or_filter(
    api: httpx.AsyncClient, tokens: Tokens, other_tokens: Tokens
) -> None:
    for name in ("a", "b", "c"):
        body = {"kind": "generic", "name": name}
        assert (await api.post("/v1/sources", json=body, headers=admin(tokens))).status_code == 201
    page = (await api.get("/v1/sources", params={"limit": "1"}, headers=admin(tokens))).json()
    cursor = page["next_cursor"]
    assert cursor is not None
    ours = await api.get("/v1/sources", params={"cursor": cursor}, headers=admin(tokens))
    assert len(ours.json()["items"]) == 2
    bent = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for path, query, who in (
        ("/v1/sources", {"cursor": cursor}, other_tokens),
        ("/v1/deliveries", {"cursor": cursor}, tokens),
        ("/v1/sources", {"cursor": cursor, "kind": "generic"}, tokens),
        ("/v1/sources", {"cursor": bent}, tokens),
        ("/v1/sources", {"cursor": cursor + "="}, tokens),
    ):
        answer = await api.get(path, params=query, headers=admin(who))
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor.invalid"), f"{path} {query}"


@pytest.mark.attack("B29")
@pytest.mark.parametrize(
    "identifier", ["9223372036854775808", "-1", "0", "null", "*", "%00", "..%2f..", "1' or '1'='1"]
)
async def test_an_id_that_is_none(
    application: Application, api: httpx.AsyncClient, tokens: Tokens, identifier: str
) -> None:
    asked = 0
    for path, item in application.api.openapi()["paths"].items():
        whose = path.startswith("/v1/") and not path.startswith("/v1/admin/")
        if "{" in path and "get" in item and whose and "{name}" not in path:
            asked += 1
            head, _, tail = path.partition("{")
            url = httpx.URL("http://tocsin.test").copy_with(
                raw_path=(head + identifier.replace(" ", "%20").replace("'", "%27") + tail.partition("}")[2]).encode()
            )
            answer = await api.get(url, headers=admin(tokens))
            assert answer.status_code in (404, 422), f"{path}: {answer.status_code} {answer.text}"
    assert asked >= 14


@pytest.mark.attack("B30")
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("path", ["/v1/incidents", "/v1/alerts"])
async def test_a_filter_that_is_not_on_the_list(api: httpx.AsyncClient, tokens: Tokens, path: str, field: str) -> None:
    answer = await api.get(path, params={field: "x"}, headers=admin(tokens))
    assert (answer.status_code, answer.json()["code"]) == (422, "query.unknown_filter")


@pytest.mark.attack("B30")
async def test_no_list_sorts_by_what_the_caller_names(
    application: Application, api: httpx.AsyncClient, tokens: Tokens, operator_token: str
) -> None:
    """An unknown parameter changes nothing of the answer, or is refused."""
    for path in lists(application):
        plain = await answered(api, path, tokens, operator_token)
        assert plain.status_code == 200, f"{path}: {plain.text}"
        for field in FIELDS:
            odd = await answered(api, path, tokens, operator_token, **{field: "desc"})
            assert odd.status_code == 422 or odd.json()["items"] == plain.json()["items"], f"{path}?{field}"


@pytest.mark.attack("B30")
@pytest.mark.parametrize(
    "text", ["%", "_", "' or 1=1 --", "\\", "%' union select token_hash from api_tokens --", "x\x00"]
)
async def test_a_search_text_is_text(api: httpx.AsyncClient, tokens: Tokens, text: str) -> None:
    answer = await api.get("/v1/incidents", params={"q": text}, headers=admin(tokens))
    assert answer.status_code == (422 if "\x00" in text else 200)
    if answer.status_code == 200:
        assert answer.json()["items"] == []
