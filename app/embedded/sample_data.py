"""What the demo tenant knows before anything happens: documents, and tickets that were solved."""

from __future__ import annotations

from typing import Any

from app.enhancement.contract import DeskTicket

KNOWLEDGE: list[dict[str, Any]] = [
    {
        "title": "Checkout answers 502: the payment connector has lost its pool",
        "body": (
            "When the checkout page answers 502, the payment connector on shop-pay-01 has usually used up its connection "
            "pool. Look at the pool with GET /health on the connector. Restart the connector; the pool is full again "
            "within a minute. If 502 comes back within an hour, lower max_idle to 30 seconds."
        ),
        "owner": "Payments team",
    },
    {
        "title": "VPN error 809",
        "body": (
            "Error 809 means that UDP 500 or 4500 is blocked between the client and the gateway. Check the gateway's "
            "firewall rules first; a changed home router is the second most frequent cause."
        ),
        "owner": "Network team",
    },
]

PAST_TICKETS: list[DeskTicket] = [
    DeskTicket(
        external_id="48812",
        title="Checkout page shows 502 Bad Gateway",
        body="Customers report 502 Bad Gateway when they pay. Started at 14:05. Host shop-pay-01 looks busy.",
        resolution="Restarted the payment connector on shop-pay-01; its connection pool was exhausted.",
        status="Closed",
        closed=True,
        people=(),
        url="",
    ),
    DeskTicket(
        external_id="47120",
        title="Printer on floor 3 offline",
        body="The printer on floor 3 does not print since this morning.",
        resolution="Replaced the network cable.",
        status="Closed",
        closed=True,
        people=(),
        url="",
    ),
]

DEMO_TICKET: dict[str, str] = {
    "subject": "Checkout fails with 502 Bad Gateway for some customers",
    "description": (
        "Since about ten minutes some customers get 502 Bad Gateway on the checkout page when they pay. "
        "The payment connector on shop-pay-01 was the cause the last time."
    ),
}
