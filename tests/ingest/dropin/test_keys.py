"""Keys that find their source: what may be one, whose it is, and that what is remembered has bounds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.core.errors import Unavailable
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.dropin.keys import SenderKeys
from app.ingest.service import CreatedSource, SourceKeyTaken, delete_source, rotate_secret
from app.net.keyring import KeyRing
from app.net.signing import InvalidSecret
from app.settings import Settings
from tests.factories.ingest import ACTOR, EPOCH, committed_source
from tests.fixtures.database import make_tenant
from tests.ingest.dropin.conftest import new_routing_key


def with_ingest(resources: Resources, **changes: object) -> None:
    settings = resources.get(Settings)
    resources.provide(Settings, settings.model_copy(update={"ingest": settings.ingest.model_copy(update=changes)}))


@pytest.fixture
async def events(resources: Resources, tenant_id: TenantId) -> CreatedSource:
    return await committed_source(resources, tenant_id, kind="pagerduty_events")


async def test_a_key_finds_its_source_and_nobodys_finds_none(resources: Resources, events: CreatedSource) -> None:
    keys = SenderKeys(resources)
    assert events.secret is not None
    assert events.url_path == f"/in/{await keys.find(events.secret)}"
    stranger = new_routing_key()
    nobody = await keys.find(stranger)
    assert nobody == await keys.find(stranger)
    assert nobody != await keys.find(new_routing_key())
    assert len(nobody) == 26


async def test_a_brought_key_is_taken_whole(resources: Resources, tenant_id: TenantId) -> None:
    key = new_routing_key()
    made = await committed_source(resources, tenant_id, kind="pagerduty_events", secret=key)
    assert made.secret == key
    assert made.url_path == f"/in/{await SenderKeys(resources).find(key)}"


NOT_KEYS = {
    "pagerduty_events": ["a" * 31, "a" * 33, "-" * 32, "a" * 24],
    "opsgenie_api": ["a" * 36, "8A5E0F7C-0D3B-4A40-9D3A-6A7C1C1F9A55"],
    "oncall": ["a" * 23, "a/" * 20],
}


@pytest.mark.parametrize(("kind", "number"), [(kind, i) for kind, keys in NOT_KEYS.items() for i in range(len(keys))])
async def test_what_no_such_sender_takes_for_a_key_is_refused(
    resources: Resources, tenant_id: TenantId, kind: str, number: int
) -> None:
    with pytest.raises(InvalidSecret):
        await committed_source(resources, tenant_id, kind=kind, secret=NOT_KEYS[kind][number])


async def test_a_key_finds_one_source_only_and_is_free_again_when_that_is_gone(
    resources: Resources, tenant_id: TenantId, database: Database, events: CreatedSource
) -> None:
    other = await make_tenant(database)
    for tenant in (tenant_id, other):
        with pytest.raises(SourceKeyTaken):
            await committed_source(resources, tenant, kind="pagerduty_events", secret=events.secret)
    async with tenant_session(database, tenant_id) as session:
        await delete_source(session, source_id=events.source.id, actor=ACTOR, now=EPOCH)
    moved = await committed_source(resources, other, kind="pagerduty_events", secret=events.secret)
    assert events.secret is not None
    assert moved.url_path == f"/in/{await SenderKeys(resources).find(events.secret)}"


async def test_a_key_that_was_replaced_at_once_finds_nothing(
    resources: Resources, tenant_id: TenantId, database: Database, events: CreatedSource
) -> None:
    keys = SenderKeys(resources)
    with_ingest(resources, source_cache_ttl_s=0.0, unknown_cache_ttl_s=0.0)
    async with tenant_session(database, tenant_id) as session:
        await rotate_secret(
            session,
            keyring=resources.get(KeyRing),
            source_id=events.source.id,
            actor=ACTOR,
            now=EPOCH,
            overlap=timedelta(0),
        )
    assert events.secret is not None
    assert f"/in/{await keys.find(events.secret)}" != events.url_path


async def test_a_secret_of_another_kind_finds_nothing(resources: Resources, tenant_id: TenantId) -> None:
    generic = await committed_source(resources, tenant_id, kind="generic", profile="bearer")
    signed = await committed_source(resources, tenant_id, kind="pagerduty_events", profile="github")
    keys = SenderKeys(resources)
    for source in (generic, signed):
        assert source.secret is not None
        assert f"/in/{await keys.find(source.secret)}" != source.url_path


async def test_what_is_remembered_has_bounds(resources: Resources, tenant_id: TenantId) -> None:
    with_ingest(resources, source_cache_size=2, unknown_cache_size=3)
    keys = SenderKeys(resources)
    for _ in range(4):
        made = await committed_source(resources, tenant_id, kind="pagerduty_events")
        await keys.find(made.secret or "")
        await keys.find(new_routing_key())
        await keys.find(new_routing_key())
    assert (len(keys.memory._known), len(keys.memory._unknown)) == (2, 3)


async def test_strangers_keys_push_no_known_one_out(resources: Resources, events: CreatedSource) -> None:
    with_ingest(resources, source_cache_size=1, unknown_cache_size=1)
    keys = SenderKeys(resources)
    await keys.find(events.secret or "")
    for _ in range(3):
        await keys.find(new_routing_key())
    assert len(keys.memory._known) == 1


async def test_while_the_database_is_silent_known_keys_count_on_and_others_are_put_off(
    resources: Resources, events: CreatedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_ingest(resources, source_cache_ttl_s=0.0)
    keys = SenderKeys(resources)
    await keys.find(events.secret or "")

    async def silent(lookup: bytes) -> str | None:
        raise OSError("no route to host")

    monkeypatch.setattr(keys.memory, "_look", silent)
    assert events.url_path == f"/in/{await keys.find(events.secret or '')}"
    with pytest.raises(Unavailable):
        await keys.find(new_routing_key())


def test_the_digest_is_keyed_by_the_installation() -> None:
    one, other = KeyRing([], lookup_pepper="one"), KeyRing([], lookup_pepper="other")
    assert one.lookup("key") == one.lookup("key")
    assert one.lookup("key") != other.lookup("key")
    assert one.lookup("\ud800") != one.lookup("key")
