"""The demonstration: two real webhooks go in, and the public API tells what became of them.

Every step is something that was *seen*: an answer of the API, of the broken service or of the ticket system. A step that
is not seen in time fails the demo by name.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import httpx
import orjson

from app.core.ids import new_id
from app.embedded.sample_data import DEMO_TICKET
from app.embedded.seed import SERVICE_ALERT, DemoState
from app.embedded.stack import Stack

STEP_TIMEOUT_S = 60.0


class StepNotSeen(RuntimeError):
    """A step did not happen in time, or never will."""


class Narrator(Protocol):
    """Tells a person what happens."""

    def began(self, title: str) -> None:
        """This will announce a step."""
        ...

    def saw(self, title: str, detail: str, seconds: float) -> None:
        """This will report a step as seen."""
        ...

    def missed(self, title: str, reason: str) -> None:
        """This will report a step as not seen."""
        ...


@dataclass
class Facts:
    """What the demo found out, for the summary and the curl lines."""

    ids: dict[str, str] = field(default_factory=dict)
    trace_ids: dict[str, str] = field(default_factory=dict)


class Demo:
    """One pass of the demonstration."""

    def __init__(self, stack: Stack, state: DemoState, narrator: Narrator) -> None:
        self._stack = stack
        self._state = state
        self._narrator = narrator
        self.facts = Facts()

    async def run(self) -> bool:
        """This will show every step and return whether all were seen."""
        async with (
            httpx.AsyncClient(base_url=self._stack.api_url, headers=self._state.headers, timeout=10) as self._api,
            httpx.AsyncClient(timeout=10) as self._other,
        ):
            try:
                await self._service_goes_down()
                await self._ticket_comes_in()
                await self._incident_is_mended()
                await self._ticket_is_enhanced()
                await self._live_checks()
            except StepNotSeen:
                return False
        return True

    async def _service_goes_down(self) -> None:
        async def break_it() -> str:
            (await self._other.post(f"{self._stack.service_url}/break")).raise_for_status()
            health = await self._other.get(f"{self._stack.service_url}/health")
            return f"GET /health answers {health.status_code}"

        await self._step("The demo service is broken on purpose", break_it)
        await self._step("Alertmanager's notification is accepted (bearer token)", self._send_alert)

    async def _send_alert(self) -> str:
        source, now = self._state.sources["alertmanager"], datetime.now(UTC).isoformat()
        labels = {"alertname": SERVICE_ALERT, "service": "demo-service", "severity": "critical"}
        fingerprint = hashlib.sha256(f"{SERVICE_ALERT}{time.time_ns()}".encode()).hexdigest()[:16]
        alert = {
            "status": "firing",
            "labels": labels | {"instance": fingerprint[:6]},
            "annotations": {"summary": "The demo service answers 503"},
            "startsAt": now,
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": fingerprint,
        }
        body = {
            "version": "4",
            "groupKey": f'{{}}:{{alertname="{SERVICE_ALERT}", instance="{fingerprint[:6]}"}}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "tocsin",
            "groupLabels": {"alertname": SERVICE_ALERT, "instance": fingerprint[:6]},
            "commonLabels": labels,
            "commonAnnotations": alert["annotations"],
            "externalURL": "",
            "alerts": [alert],
        }
        answer = await self._other.post(
            f"{self._stack.api_url}{source['url_path']}",
            content=orjson.dumps(body),
            headers={"Authorization": f"Bearer {source['secret']}", "Content-Type": "application/json"},
        )
        return self._accepted(answer, "alert")

    async def _ticket_comes_in(self) -> None:
        async def open_ticket() -> str:
            answer = await self._other.post(
                f"{self._stack.desk_url}/api/v3/requests",
                data={"input_data": orjson.dumps({"request": DEMO_TICKET}).decode()},
                headers={"authtoken": self._stack.secrets.desk_key},
            )
            answer.raise_for_status()
            self.facts.ids["ticket"] = str(answer.json()["request"]["id"])
            return f"ticket {self.facts.ids['ticket']}"

        await self._step("A customer opens a ticket at the service desk", open_ticket)
        await self._step("The desk's signed webhook is accepted (Standard Webhooks)", self._send_ticket)

    async def _send_ticket(self) -> str:
        source, message_id = self._state.sources["servicedesk"], f"msg_{new_id().hex}"
        request = {
            "id": self.facts.ids["ticket"],
            **DEMO_TICKET,
            "priority": {"name": "High"},
            "status": {"name": "Open"},
        }
        body = orjson.dumps({"event": "created", "request": request})
        timestamp = str(int(time.time()))
        # Signed by hand, as a sender would: Standard Webhooks 1.0 signs "{id}.{timestamp}.{body}".
        key = base64.b64decode(source["secret"].removeprefix("whsec_"))
        signed = b".".join([message_id.encode(), timestamp.encode(), body])
        signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        answer = await self._other.post(
            f"{self._stack.api_url}{source['url_path']}",
            content=body,
            headers={
                "webhook-id": message_id,
                "webhook-timestamp": timestamp,
                "webhook-signature": f"v1,{signature}",
                "Content-Type": "application/json",
            },
        )
        return self._accepted(answer, "ticket_webhook")

    async def _incident_is_mended(self) -> None:
        await self._step("The alert became an incident", lambda: self._incident_of("alert"))
        await self._step("A rule started the runbook, which probed, restarted and verified", self._run_recovered)
        await self._step("The incident is resolved, because the check says so", self._incident_resolved)

        async def healthy() -> str:
            health = await self._other.get(f"{self._stack.service_url}/health")
            if health.status_code != 200:
                raise LookupError(f"GET /health answers {health.status_code}")
            return f"GET /health answers 200, restarts: {health.json()['restarts']}"

        await self._step("The demo service is well again", healthy)

    async def _run_recovered(self) -> str:
        page = await self._get("/v1/runs", incident_id=self.facts.ids["alert_incident"])
        if not page["items"]:
            raise LookupError("no run yet")
        run = await self._get(f"/v1/runs/{page['items'][0]['id']}")
        self.facts.ids["run"] = run["id"]
        _expect(run, "recovered")
        steps = ", ".join(f"{step['key']}: {step['state']}" for step in run["steps"])
        return f"run {run['id']}: {steps}"

    async def _incident_resolved(self) -> str:
        incident = await self._get(f"/v1/incidents/{self.facts.ids['alert_incident']}")
        if incident["state"] != "resolved":
            raise LookupError(f"the incident is {incident['state']}")
        return f"incident #{incident['number']} is resolved"

    async def _ticket_is_enhanced(self) -> None:
        await self._step("The ticket became an incident", lambda: self._incident_of("ticket_webhook"))
        await self._step("The ticket was enhanced from past tickets and documents", self._enhanced)
        await self._step("The note is on the ticket, at the service desk", self._note_at_desk)

    async def _enhanced(self) -> str:
        page = await self._get("/v1/enhancements", ticket=self.facts.ids["ticket"])
        if not page["items"]:
            raise LookupError("no enhancement yet")
        found = await self._get(f"/v1/enhancements/{page['items'][0]['id']}")
        self.facts.ids["enhancement"] = found["id"]
        if found["state"] != "published":
            raise LookupError(f"the enhancement is {found['state']}")
        return f"{len(found['evidence'])} sources, model: {found['model'] or 'none (extractive)'}"

    async def _note_at_desk(self) -> str:
        answer = await self._other.get(
            f"{self._stack.desk_url}/api/v3/requests/{self.facts.ids['ticket']}/notes",
            headers={"authtoken": self._stack.secrets.desk_key},
        )
        notes = answer.json().get("notes") or answer.json().get("request_notes") or []
        if len(notes) != 1:
            raise LookupError(f"{len(notes)} notes on the ticket")
        return "one note, internal"

    async def _live_checks(self) -> None:
        for title, runbook, target in (
            ("A runbook looks at the live Valkey's queues", "redis-queue-depth", "live-valkey"),
            ("A runbook looks at the live PostgreSQL's connections", "postgres-connections", "live-postgres"),
        ):
            await self._step(title, partial(self._run_by_hand, runbook, target))

    async def _run_by_hand(self, runbook: str, target: str) -> str:
        key = f"run:{runbook}"
        if key not in self.facts.ids:
            described = await self._get(f"/v1/runbooks/{runbook}")
            names = list(described["document"]["targets"])
            body = {
                "runbook": runbook,
                "incident_id": self.facts.ids["alert_incident"],
                "targets": dict.fromkeys(names, target),
            }
            answer = await self._api.post("/v1/runs", json=body)
            if answer.is_error:
                raise LookupError(answer.text[:500])
            self.facts.ids[key] = answer.json()["id"]
        run = await self._get(f"/v1/runs/{self.facts.ids[key]}")
        _expect(run, "recovered", "no_action_needed")
        return f"outcome: {run['outcome']}"

    async def _incident_of(self, receipt: str) -> str:
        found = await self._get(f"/v1/receipts/{self.facts.ids[receipt]}")
        incidents = found.get("incidents") or []
        if not incidents:
            raise LookupError(f"the delivery is {found['state']}")
        incident_id = str(incidents[0]["id"] if isinstance(incidents[0], dict) else incidents[0])
        self.facts.ids[f"{receipt.removesuffix('_webhook')}_incident"] = incident_id
        if found.get("trace_id"):
            self.facts.trace_ids[receipt] = found["trace_id"]
        incident = await self._get(f"/v1/incidents/{incident_id}")
        return f"incident #{incident['number']}, {incident['severity']}: {incident['title']}"

    def _accepted(self, answer: httpx.Response, name: str) -> str:
        if answer.status_code != 202:
            raise LookupError(f"{answer.status_code}: {answer.text[:500]}")
        self.facts.ids[name] = answer.json()["receipt_id"]
        return f"202, receipt {self.facts.ids[name]}"

    async def _get(self, path: str, **params: str) -> dict[str, Any]:
        answer = await self._api.get(path, params=params)
        if answer.is_error:
            raise LookupError(f"GET {path}: {answer.status_code} {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found

    async def _step(self, title: str, look: Callable[[], Awaitable[str]]) -> None:
        """Look until it is there to be seen; a LookupError means not yet."""
        self._narrator.began(title)
        started, reason = time.monotonic(), ""
        while time.monotonic() - started < STEP_TIMEOUT_S:
            try:
                detail = await look()
            except (LookupError, httpx.HTTPError) as error:
                reason = str(error)
                await asyncio.sleep(0.1)
                continue
            except StepNotSeen as error:
                self._narrator.missed(title, str(error))
                raise
            self._narrator.saw(title, detail, time.monotonic() - started)
            return
        self._narrator.missed(title, reason)
        raise StepNotSeen(title)


def _expect(run: dict[str, Any], *outcomes: str) -> None:
    """Say that the run did not end so yet, or why it ended otherwise: started often, the demo meets the runbook's own limits."""
    if run["outcome"] in outcomes:
        return
    told = f"the run is {run['state']}, outcome {run['outcome']}"
    if run["outcome"] is not None:
        raise StepNotSeen(f"{told}: {run['reason']}")
    raise LookupError(told)
