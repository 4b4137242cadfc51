"""Several secrets of one source: each of them opens it, and each ends alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.http.idempotency import REPLAYED
from app.ingest.hot import IngestApp
from app.net.signing.checks import MAX_ACTIVE, MAX_CURVE_ACTIVE
from tests.factories.ingest import Sender, alert_body
from tests.fixtures.commands import put_in_environment, run_command
from tests.net.signing.issuers import TOPIC

Tokens = dict[Role, str]
LONG = "a secret of our own, long enough to be one"


class Holder:
    """A tenant's source, over the API and on the intake route."""

    def __init__(self, api: httpx.AsyncClient, tokens: Tokens, sender: Sender, made: dict[str, Any]) -> None:
        self.api, self.tokens, self.sender, self.made = api, tokens, sender, made
        self.id: str = made["source"]["id"]
        self.path = f"/v1/sources/{self.id}"

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"authorization": self.tokens[Role.ENGINEER], **headers}
        return await self.api.request(method, path, json=body, headers=sent)

    async def add(self, secret: str | None = None) -> dict[str, Any]:
        answer = await self.call("POST", f"{self.path}/secrets", {"secret": secret} if secret else None)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def rotate(self, overlap_s: int, secret: str | None = None) -> httpx.Response:
        return await self.call("POST", f"{self.path}/rotate-secret", {"overlap_s": overlap_s, "secret": secret})

    async def revoke(self, secret_id: str) -> httpx.Response:
        return await self.call("DELETE", f"/v1/source-secrets/{secret_id}")

    async def opens(self, *secrets: str) -> list[bool]:
        """Which of the tokens a sender gets in with."""
        found = []
        for secret in secrets:
            headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
            path = self.made["source"]["url_path"]
            answer = await self.sender.client.post(path, content=alert_body(), headers=headers)
            assert answer.status_code in (202, 401)
            found.append(answer.status_code == 202)
        return found

    async def shown(self) -> list[dict[str, Any]]:
        return list((await self.call("GET", self.path)).json()["secrets"])


async def make(api: httpx.AsyncClient, tokens: Tokens, sender: Sender, **changes: Any) -> Holder:
    body = {"kind": "generic", "name": "watch", "profile": "bearer"} | changes
    answer = await api.post("/v1/sources", json=body, headers={"authorization": tokens[Role.ENGINEER]})
    assert answer.status_code == 201, answer.text
    return Holder(api, tokens, sender, answer.json())


@pytest.fixture
async def holder(api: httpx.AsyncClient, tokens: Tokens, sender: Sender) -> Holder:
    return await make(api, tokens, sender)


async def trail(database: Database, tenant_id: TenantId) -> list[tuple[str, dict[str, Any]]]:
    question = "select action, detail from audit_entries where action like 'source.secret%' order by seq"
    async with tenant_session(database, tenant_id) as session:
        return [tuple(row) for row in (await session.execute(text(question))).all()]


async def test_several_secrets_open_one_source_and_each_is_revoked_alone(
    holder: Holder, database: Database, tenant_id: TenantId
) -> None:
    first = holder.made
    second, third = await holder.add(), await holder.add(LONG.replace(" ", "-"))
    secrets = [made["secret"] for made in (first, second, third)]
    assert len(set(secrets)) == 3
    assert await holder.opens(*secrets, "t" * 43) == [True, True, True, False]
    listed = await holder.shown()
    assert [one["id"] for one in listed] == [made["secret_id"] for made in (third, second, first)]
    assert {one["expires_at"] for one in listed} == {None}
    assert (await holder.revoke(second["secret_id"])).status_code == 204
    assert await holder.opens(*secrets) == [True, False, True]
    again = await holder.revoke(second["secret_id"])
    assert (again.status_code, again.json()["code"]) == (404, "source.secret_not_found")
    assert await trail(database, tenant_id) == [
        ("source.secret_added", {"secret_id": second["secret_id"]}),
        ("source.secret_added", {"secret_id": third["secret_id"]}),
        ("source.secret_revoked", {"secret_id": second["secret_id"]}),
    ]


async def test_the_last_one_that_holds_on_is_not_revoked(holder: Holder) -> None:
    rotated = (await holder.rotate(600)).json()
    refused = await holder.revoke(rotated["secret_id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "source.last_secret")
    assert (await holder.revoke(holder.made["secret_id"])).status_code == 204, "one whose end is set may end earlier"
    assert await holder.opens(holder.made["secret"], rotated["secret"]) == [False, True]


async def test_no_more_are_held_than_every_refusal_pays_for(holder: Holder, clock: FakeClock) -> None:
    secrets = [holder.made["secret"], *[(await holder.add())["secret"] for _ in range(MAX_ACTIVE - 1)]]
    full = await holder.call("POST", f"{holder.path}/secrets")
    assert (full.status_code, full.json()["code"]) == (409, "source.secrets_full")
    assert await holder.opens(*secrets) == [True] * MAX_ACTIVE
    # A rotation is never refused: it may be an emergency.
    newest = (await holder.rotate(600)).json()["secret"]
    assert await holder.opens(*secrets, newest) == [False, *[True] * MAX_ACTIVE]
    clock.advance(timedelta(seconds=601))
    assert await holder.opens(*secrets, newest) == [False] * MAX_ACTIVE + [True]
    await holder.add()
    assert len(await holder.shown()) == 2, "what has ended makes room"


async def test_an_overlap_under_way_keeps_its_end_through_the_next_rotation(holder: Holder, clock: FakeClock) -> None:
    first = holder.made["secret"]
    second = (await holder.rotate(60)).json()["secret"]
    third = (await holder.rotate(600)).json()["secret"]
    assert await holder.opens(first, second, third) == [True, True, True]
    clock.advance(timedelta(seconds=61))
    assert await holder.opens(first, second, third) == [False, True, True]
    fourth = (await holder.rotate(0)).json()["secret"]
    assert await holder.opens(second, third, fourth) == [False, False, True]
    assert len(await holder.shown()) == 1


async def test_a_secret_that_is_held_is_not_held_twice(holder: Holder) -> None:
    """It would outlive its own revocation."""
    token = LONG.replace(" ", "-")
    await holder.add(token)
    for answer in (
        await holder.call("POST", f"{holder.path}/secrets", {"secret": token}),
        await holder.rotate(60, token),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "signing.invalid_secret")
    assert len(await holder.shown()) == 2


async def test_keys_on_the_curve_are_fewer_and_topics_are_several(
    api: httpx.AsyncClient, tokens: Tokens, sender: Sender
) -> None:
    from base64 import b64encode

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    def public_key() -> str:
        return "whpk_" + b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()

    curve = await make(api, tokens, sender, name="curve", profile="standard_webhooks_ed25519", secret=public_key())
    for _ in range(MAX_CURVE_ACTIVE - 1):
        await curve.add(public_key())
    full = await curve.call("POST", f"{curve.path}/secrets", {"secret": public_key()})
    assert (full.status_code, full.json()["code"]) == (409, "source.secrets_full")
    topics = await make(api, tokens, sender, name="topics", profile="sns", secret=TOPIC)
    made = await topics.add(TOPIC.replace("alarms", "others"))
    assert made["secret"] is None, "a topic is no secret of ours"
    ungiven = await topics.call("POST", f"{topics.path}/secrets")
    assert (ungiven.status_code, ungiven.json()["code"]) == (422, "signing.secret_not_generated")


async def test_the_newest_is_tried_first(holder: Holder, sender: Sender, clock: FakeClock) -> None:
    wanted = [holder.made["secret_id"]]
    for _ in range(2):
        clock.advance(timedelta(seconds=1))
        wanted.insert(0, (await holder.add())["secret_id"])
    assert isinstance(sender.app, IngestApp)
    known = await sender.app.sources.find(holder.made["source"]["public_id"])
    assert known is not None
    assert [secret.id for secret in known.secrets] == wanted


async def test_a_secret_is_added_and_revoked_once_under_a_key_by_engineers_of_its_tenant(
    holder: Holder, other_tokens: Tokens
) -> None:
    path = f"{holder.path}/secrets"
    first, second = [await holder.call("POST", path, {}, **{"idempotency-key": "k1"}) for _ in range(2)]
    made = first.json()
    assert (second.status_code, second.headers[REPLAYED]) == (201, "true")
    assert second.json() == made | {"secret": None, "url": None, "curl": None}
    assert len(await holder.shown()) == 2
    target = f"/v1/source-secrets/{made['secret_id']}"
    for tokens, status in ((holder.tokens, 403), (other_tokens, 403)):
        for method, where in (("POST", path), ("DELETE", target)):
            answer = await holder.api.request(method, where, headers={"authorization": tokens[Role.RESPONDER]})
            assert answer.status_code == status
    theirs = {"authorization": other_tokens[Role.ADMIN]}
    for method, where in (("POST", path), ("DELETE", target), ("DELETE", f"/v1/source-secrets/{uuid4()}")):
        assert (await holder.api.request(method, where, headers=theirs)).status_code == 404
    for _ in range(2):
        assert (await holder.call("DELETE", target, **{"idempotency-key": "k2"})).status_code == 204
    assert len(await holder.shown()) == 1
    assert (await holder.call("DELETE", holder.path)).status_code == 204
    gone = await holder.revoke(holder.made["secret_id"])
    assert gone.status_code == 404


async def test_secrets_are_listed_added_and_revoked_at_the_command_line(
    holder: Holder, resources: Resources, tenant_id: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.cli.sources import app
    from app.settings import Settings

    put_in_environment(monkeypatch, resources.get(Settings), TOCSIN_TENANT=str(tenant_id))
    token = LONG.replace(" ", "-")
    code, output = await run_command(app, "secrets", "add", holder.id, "--secret", token)
    assert (code, f"secret  {token}    shown this once; its id is " in output) == (0, True), output
    secret_id = output.partition("its id is ")[2].split()[0]
    assert await holder.opens(holder.made["secret"], token) == [True, True]
    code, output = await run_command(app, "secrets", "list", holder.id)
    assert code == 0, output
    assert output.index(secret_id) < output.index(holder.made["secret_id"])
    assert output.count("when it is revoked") == 2
    assert token not in output
    code, output = await run_command(app, "secrets", "revoke", secret_id)
    assert (code, output.endswith(f"secret {secret_id} is revoked\n")) == (0, True), output
    assert await holder.opens(holder.made["secret"], token) == [True, False]
    for words, says in (
        (("secrets", "revoke", holder.made["secret_id"]), "only secret that holds on"),
        (("secrets", "revoke", str(uuid4())), "No such secret"),
        (("secrets", "list", str(uuid4())), "No such source"),
    ):
        code, output = await run_command(app, *words)
        assert (code, says in output.strip().splitlines()[-1]) == (1, True), output
    code, output = await run_command(app, "rotate-secret", holder.id, "--overlap-s", "0", "--secret", token)
    assert (code, token in output) == (0, True), output
    assert await holder.opens(holder.made["secret"], token) == [False, True]
