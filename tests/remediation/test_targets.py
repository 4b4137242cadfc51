"""The inventory: a connection and the secret that was given for it stay together, whoever changes what at once."""

from __future__ import annotations

import asyncio

from app.db.tenancy import TenantSession, tenant_session
from app.net.keyring import KeyRing
from app.remediation.schemas import TargetIn
from app.remediation.service import replace_target
from app.remediation.service.targets import open_target
from tests.remediation.conftest import STARTER, Ward

HERE, ELSEWHERE = "https://app.example.test", "https://evil.example.test"


async def test_a_move_and_a_new_secret_at_once_do_not_meet_in_one_row(ward: Ward) -> None:
    """Else the secret that somebody renews would go to where another one points the target in the same moment."""
    target_id = await ward.add_target("app", connection={"base_url": HERE}, secret="old")
    keyring = ward.resources.get(KeyRing)

    async def replace(session: TenantSession, base_url: str, secret: str) -> None:
        wanted = TargetIn(name="app", kind="http", connection={"base_url": base_url}, secret=secret)
        await replace_target(
            session, target_id=target_id, target=wanted, keyring=keyring, actor=STARTER, now=ward.now()
        )

    async def renew() -> None:
        async with tenant_session(ward.database, ward.tenant_id) as session:
            await replace(session, HERE, "the real one")

    async with tenant_session(ward.database, ward.tenant_id) as session:
        await replace(session, ELSEWHERE, "the mover's own")
        renewing = asyncio.create_task(renew())
        # Long enough for it to have read the row, were it allowed to.
        await asyncio.sleep(0.3)
    await renewing
    async with tenant_session(ward.database, ward.tenant_id) as session:
        found = await open_target(session, target_id=target_id, keyring=keyring)
    assert found.secret is not None
    assert (found.connection.model_dump(), found.secret.get_secret_value()) == ({"base_url": HERE}, "the real one")
