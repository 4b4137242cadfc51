"""The receipt as a chain: accepted, parsed, alerts, incidents, jobs, effects, or why not, in a fixed number of statements."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import event

from app.auth.rules import Role
from app.enhancement.jobs import EnhanceTicket, IndexIncident
from app.enhancement.service import consequences as of_enhancement
from app.incidents.contract import tells
from app.incidents.schemas import IncidentView
from app.remediation.jobs import AdvanceRun, StartRun
from app.remediation.service import consequences as of_remediation
from tests.factories.ingest import alert_body
from tests.ingest.receipts.conftest import Scene

RULE = {
    "match": {"severity": ["P1"]},
    "runbook": "http-service-recovery",
    "targets": {"service": "shop"},
    "mode": "auto",
}
TARGET = {"name": "shop", "kind": "http", "connection": {"base_url": "http://127.0.0.1:9"}}


def stage(chain: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in chain["stages"] if found["stage"] == name)


def told(chain: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [found for incident in chain["incidents"] for found in incident["consequences"] if found["kind"] == kind]


async def test_a_waiting_delivery_says_so_and_why_while_the_intake_is_paused(scene: Scene) -> None:
    receipt_id = await scene.send(await scene.source())
    chain = await scene.chain(receipt_id)
    assert (stage(chain, "accepted")["state"], stage(chain, "parsed")["state"]) == ("done", "waiting")
    assert (chain["settled"], chain["failed"]) == (False, False)
    await scene.run_sql(
        "insert into tenant_pauses (tenant_id, id, queue, reason) values (:t, :id, 'intake', 'we are moving')",
        t=scene.tenant_id,
        id=uuid4(),
    )
    assert "paused: we are moving" in stage(await scene.chain(receipt_id), "parsed")["reason"]


async def test_a_refused_mapping_breaks_the_chain_with_its_reason(scene: Scene) -> None:
    receipt_id = await scene.send(await scene.source(), b'{"title": ')
    await scene.work()
    chain = await scene.chain(receipt_id)
    assert stage(chain, "parsed")["state"] == "failed"
    assert "body.not_json" in stage(chain, "parsed")["reason"]
    assert (chain["settled"], chain["failed"], chain["incidents"]) == (True, True, [])


async def test_without_a_rule_the_chain_says_that_there_is_none(scene: Scene) -> None:
    receipt_id = await scene.send(await scene.source(), alert_body(id="q-1"))
    await scene.work()
    chain = await scene.chain(receipt_id)
    (incident,) = chain["incidents"]
    assert incident["opened_here"] is True
    assert [(alert["outcome"], alert["status_now"]) for alert in incident["alerts"]] == [("opened", "firing")]
    (rule,) = told(chain, "runbook_rule")
    assert (rule["state"], rule["reason_code"]) == ("no_match", "rule.none")
    assert stage(chain, "effects")["reason"] == rule["reason"]
    assert chain["intake_job"]["state"] == "succeeded"
    assert (chain["settled"], chain["failed"]) == (True, False)


async def test_a_rule_that_does_not_match_says_why(scene: Scene) -> None:
    await scene.post("/v1/targets", TARGET, role=Role.ADMIN)
    assert (await scene.post("/v1/runbook-rules", RULE | {"name": "pages only"})).status_code == 201
    receipt_id = await scene.send(await scene.source(), alert_body(severity="low"))
    await scene.work()
    (rule,) = told(await scene.chain(receipt_id), "runbook_rule")
    assert rule["reason_code"] == "rule.no_match"
    assert [(step["key"], step["reason"]) for step in rule["steps"]] == [("pages only", "the severity is P3")]


async def test_a_run_is_followed_from_its_job_to_its_steps_and_its_failure(scene: Scene) -> None:
    await scene.post("/v1/targets", TARGET, role=Role.ADMIN)
    await scene.post("/v1/runbook-rules", RULE | {"name": "repair"})
    source = await scene.source()
    receipt_id = await scene.send(source, alert_body(severity="high"))
    # The rule's job exists, no run yet: the intake alone has worked.
    await scene.run_sql("update jobs set run_at = run_at + interval '1 year' where kind = 'remediation.start_run'")
    await scene.work()
    for _ in range(200):
        chain = await scene.chain(receipt_id)
        if chain["settled"]:
            break
        await scene.run_sql("update jobs set run_at = now() where state = 'scheduled'")
        await scene.work()
    (run,) = told(chain, "run")
    assert run["settled"] is True
    assert run["failed"] is True, "nothing listens at that port, so it cannot have recovered"
    assert run["trace_id"] == chain["receipt"]["trace_id"]
    assert run["steps"], "what each step came to belongs to the chain"
    assert all(step["state"] for step in run["steps"])
    assert chain["failed"] is True
    assert stage(chain, "effects")["state"] == "failed"


async def test_a_ticket_is_followed_to_its_note(scene: Scene) -> None:
    source = await scene.source(kind="servicedesk")
    body = orjson.dumps({"event": "created", "request": {"id": "7", "subject": "Printer on fire"}})
    receipt_id = await scene.send(source, body)
    await scene.work()
    (note,) = told(await scene.chain(receipt_id), "enhancement")
    assert "ticket 7" in note["title"]
    assert (note["state"], note["failed"], note["reason_code"] != "") == ("failed", True, True), "there is no desk"


async def test_a_repeat_is_deduplicated_and_a_late_one_says_so(scene: Scene) -> None:
    source = await scene.source(config={"event_time": "at"})
    ids = []
    for body in (
        alert_body(id="q", at="2030-01-07T11:00:00Z"),
        alert_body(id="q", at="2030-01-07T11:05:00Z"),
        alert_body(id="q", at="2030-01-07T10:00:00Z", status="resolved"),
    ):
        ids.append(await scene.send(source, body))
        await scene.work()
    chains = [await scene.chain(receipt_id) for receipt_id in ids]
    assert [chain["incidents"][0]["alerts"][0]["outcome"] for chain in chains] == ["opened", "bumped", "late"]
    assert "deduplicated" in stage(chains[1], "alerts")["reason"]
    assert "late" in stage(chains[2], "alerts")["reason"]


async def test_the_number_of_statements_does_not_grow_with_the_chain(scene: Scene) -> None:
    await scene.post("/v1/targets", TARGET, role=Role.ADMIN)
    await scene.post("/v1/runbook-rules", RULE | {"name": "repair"})
    source = await scene.source(kind="alertmanager")

    def notification(count: int) -> bytes:
        alerts = [
            {
                "status": "firing",
                "labels": {"alertname": f"A{i}", "severity": "critical"},
                "startsAt": "2030-01-07T11:00:00Z",
            }
            for i in range(count)
        ]
        return orjson.dumps({"version": "4", "groupKey": f"k{count}", "groupLabels": {}, "alerts": alerts})

    counts = []
    for size in (1, 15):
        receipt_id = await scene.send(source, notification(size))
        await scene.work()
        seen: list[str] = []
        engine = scene.database.app.sync_engine

        def note(_c: Any, _u: Any, statement: str, *_: Any, into: list[str] = seen) -> None:
            into.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        chain = await scene.chain(receipt_id)
        event.remove(engine, "before_cursor_execute", note)
        assert len(chain["incidents"]) == size
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 16, counts


async def test_lists_in_the_chain_are_bounded(scene: Scene) -> None:
    source = await scene.source(kind="alertmanager")
    alerts = [
        {"status": "firing", "labels": {"alertname": f"A{i}"}, "startsAt": "2030-01-07T11:00:00Z"} for i in range(150)
    ]
    receipt_id = await scene.send(
        source, orjson.dumps({"version": "4", "groupKey": "k", "groupLabels": {}, "alerts": alerts})
    )
    await scene.work()
    chain = await scene.chain(receipt_id)
    assert (len(chain["incidents"]), chain["incidents_not_shown"]) == (20, 80)
    assert len(chain["receipt"]["alerts"]) == 100
    assert chain["receipt"]["outcomes"] == {"opened": 150}


async def test_the_chain_is_its_tenants_alone(scene: Scene) -> None:
    answer = await scene.get(f"/v1/receipts/{uuid4()}/effects")
    assert (answer.status_code, answer.json()["code"]) == (404, "delivery.not_found")


async def test_senders_own_ids_find_the_receipt(scene: Scene) -> None:
    source, other = await scene.source(), await scene.source()
    receipt_id = await scene.send(source, delivery_id="msg_known")
    elsewhere = await scene.send(other, delivery_id="msg_known")
    items = (await scene.get("/v1/deliveries", external_id="msg_known")).json()["items"]
    assert [item["id"] for item in items] == [elsewhere, receipt_id]
    items = (await scene.get("/v1/deliveries", external_id="msg_known", source_id=str(source.source.id))).json()[
        "items"
    ]
    assert [item["id"] for item in items] == [receipt_id]
    await scene.run_sql("delete from replay_keys")
    items = (await scene.get("/v1/deliveries", external_id="msg_known")).json()["items"]
    assert [item["id"] for item in items] == [elsewhere, receipt_id], "found among the newest when the key is forgotten"
    assert (await scene.get("/v1/deliveries", external_id="msg_other")).json()["items"] == []


def test_the_tellers_know_their_jobs_by_their_names() -> None:
    assert (StartRun.kind, AdvanceRun.kind) == (of_remediation.START_RUN, of_remediation.ADVANCE_RUN)
    assert (EnhanceTicket.kind, IndexIncident.kind) == (of_enhancement.ENHANCE_TICKET, of_enhancement.INDEX_INCIDENT)


def test_a_domain_has_one_teller() -> None:
    async def another(_session: Any, _incidents: list[IncidentView]) -> list[Any]:
        return []

    with pytest.raises(ValueError, match="remediation"):
        tells("remediation")(another)  # type: ignore[arg-type]
