"""A sender that behaves as real ones do: signs once, repeats byte for byte until it hears a 2xx, and writes all of it down."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import orjson

from app.core.clock import SystemClock
from app.core.ids import TenantId
from app.net.signing import get_profile, sign

PROFILE = "standard_webhooks"
# What a sender takes for "try again"; anything else that is no 2xx is a finding.
RETRIED = frozenset({503, 502, 429})


@dataclass(frozen=True)
class Endpoint:
    """A source of the running stack, as its sender knows it."""

    tenant_id: TenantId
    source_id: str
    url_path: str
    secret: str


@dataclass(frozen=True)
class Expected:
    """What a delivery has to lead to once it is acknowledged; just one of the two is named.

    Attributes:
        service: A runbook acts on this target of the tenant, once for each incident that the alert opens.
        ticket: This ticket gets one note.
    """

    service: str = ""
    ticket: str = ""


@dataclass
class Sent:
    """One delivery and what became of it, as far as its sender can tell.

    Attributes:
        key: The alert's dedup key or the ticket's number.
        status: ``firing``, ``resolved``, or empty for a ticket.
        receipts: Every receipt id that was ever answered; more than one is a finding.
        gave_up: The sender stopped without an answer.
        expects: What has to come of it; None where storing and applying it is all.
    """

    endpoint: Endpoint
    message_id: str
    body: bytes
    key: str
    status: str = ""
    at: datetime | None = None
    attempts: int = 0
    receipts: set[str] = field(default_factory=set)
    gave_up: bool = False
    expects: Expected | None = None

    @property
    def is_acknowledged(self) -> bool:
        return bool(self.receipts)


@dataclass
class Log:
    """Everything that was sent, and every status that was answered."""

    sent: list[Sent] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)

    def of(self, tenant_id: TenantId) -> list[Sent]:
        return [one for one in self.sent if one.endpoint.tenant_id == tenant_id]


class Sender:
    """Posts deliveries to one or more APIs.

    Args:
        urls: Base URLs; each try picks one.
        clock_skew_s: How far the sender's own clock is off.
    """

    def __init__(self, urls: Iterable[str], rng: random.Random, *, timeout_s: float = 2.0) -> None:
        self._urls = list(urls)
        self._rng = rng
        self._timeout_s = timeout_s
        self.log = Log()

    async def send(self, one: Sent, client: httpx.AsyncClient, *, patience_s: float = 90.0) -> None:
        """This will post until it is acknowledged, or give up when its patience is over."""
        if one not in self.log.sent:
            self.log.sent.append(one)
        deadline = asyncio.get_running_loop().time() + patience_s
        while asyncio.get_running_loop().time() < deadline:
            if await self.attempt(one, client):
                return
            await asyncio.sleep(self._rng.uniform(0.1, 0.4))
        one.gave_up = True

    async def attempt(self, one: Sent, client: httpx.AsyncClient) -> bool:
        """This will post once and say whether it was acknowledged."""
        one.attempts += 1
        try:
            answer = await client.post(
                self._rng.choice(self._urls) + one.endpoint.url_path,
                content=one.body,
                headers=headers_of(one),
                timeout=self._timeout_s,
            )
        except httpx.HTTPError:
            return False
        self.log.answers[answer.status_code] += 1
        if answer.status_code == 202:
            one.receipts.add(answer.json()["receipt_id"])
            return True
        if answer.status_code not in RETRIED:
            self.log.odd.append(f"{one.message_id} was answered {answer.status_code}: {answer.text[:200]}")
        return False

    async def send_all(self, deliveries: list[Sent], *, over_s: float, at_once: int = 12) -> None:
        """This will send in the given order but overlapping, spread over a time; one in five is sent twice."""
        slots = asyncio.Semaphore(at_once)
        async with httpx.AsyncClient() as client, asyncio.TaskGroup() as sending:
            for one in deliveries:
                again = self._rng.random() < 0.2

                async def post(one: Sent = one, again: bool = again) -> None:
                    async with slots:
                        await self.send(one, client)
                    if again and one.is_acknowledged:
                        await self.attempt(one, client)

                sending.create_task(post())
                await asyncio.sleep(self._rng.uniform(0, 2 * over_s / len(deliveries)))


def headers_of(one: Sent, *, now: datetime | None = None) -> dict[str, str]:
    """This will sign the body under the delivery's own id."""
    signed = sign(
        get_profile(PROFILE), one.endpoint.secret, one.body, now or SystemClock().now(), delivery_id=one.message_id
    )
    return {"Content-Type": "application/json", **dict(signed)}


def alert(endpoint: Endpoint, message_id: str, key: str, *, status: str, at: datetime, **labels: str) -> Sent:
    """This will make one alert of the generic kind; ``alertname`` and other labels as given."""
    body: dict[str, Any] = {
        "id": key,
        "title": key,
        "status": status,
        "severity": "high",
        "timestamp": at.isoformat(),
        "labels": {"alertname": "Watched", **labels},
    }
    return Sent(endpoint, message_id, orjson.dumps(body), key, status, at)


def ticket(endpoint: Endpoint, message_id: str, number: str, subject: str) -> Sent:
    """This will make the webhook that the desk sends for a new ticket."""
    request = {"id": number, "subject": subject, "description": subject}
    body = orjson.dumps({"event": "created", "request": request})
    return Sent(endpoint, message_id, body, number, expects=Expected(ticket=number))
