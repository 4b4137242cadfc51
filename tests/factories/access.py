"""Tenants and tokens for tests."""

from __future__ import annotations

from app.auth.rules import Role
from app.auth.service import create_token, pepper_of
from app.core.actor import Actor
from app.core.clock import Clock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.settings import Settings
from app.tenants.models import TenantRow

ACTOR = Actor.system("test")


async def create_tenant_row(session: TenantSession, tenant_id: TenantId) -> None:
    """This will insert the smallest valid tenant."""
    session.add(TenantRow(id=tenant_id, slug=f"t-{tenant_id.hex[-12:]}", name="Test tenant"))
    await session.flush()


async def make_tokens(resources: Resources, tenant_id: TenantId) -> dict[Role, str]:
    """This will make a token per role and return their Authorization headers."""
    pepper, now = pepper_of(resources.get(Settings)), resources.get(Clock).now()  # type: ignore[type-abstract]
    headers: dict[Role, str] = {}
    async with tenant_session(resources.get(Database), tenant_id) as session:
        for role in Role:
            created = await create_token(
                session, pepper=pepper, name=role.value, role=role, expires_at=None, actor=ACTOR, now=now
            )
            headers[role] = f"Bearer {created.text}"
    return headers
