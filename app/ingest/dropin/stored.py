"""Keeping a request of another service's API as a delivery."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from app.ingest.delivery_door import DeliveryDoor
from app.ingest.known_sources import KnownSource
from app.ingest.schemas import Stored
from app.net.signing import SignedRequest, Verified

RETRY_WINDOW = timedelta(seconds=60)
"""How long identical bytes are one request sent twice, where applying it twice would show.

Short, as such senders number nothing and say the same thing again in earnest: two alerts without a key of their own are
two alerts a minute later. What names its alert is never taken for a repetition: open, over and open again within
seconds are three requests, two of them of the same bytes.
"""

_OUR_NAMES = b"x-tocsin-"


async def keep(
    deliveries: DeliveryDoor,
    source: KnownSource,
    verdict: Verified,
    request: SignedRequest,
    *,
    body: bytes,
    delivery_id: UUID,
    headers: Mapping[str, str],
    once: bool,
) -> Stored:
    """This will store the request under the chosen id, with what the door has to tell the parser.

    Args:
        deliveries: Where to.
        source: Whose it is.
        verdict: Of its verification.
        request: As it came.
        body: What is to be kept of its body: without the key.
        delivery_id: Becomes the receipt's id, unless the request is a repetition.
        headers: The door's own words; a sender's of such names are dropped.
        once: Identical bytes within ``RETRY_WINDOW`` are the same request.

    Raises:
        Unavailable: It was not stored.
    """
    own = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    others = [pair for pair in request.headers if not pair[0].lower().startswith(_OUR_NAMES)]
    salt = b"" if once else delivery_id.bytes
    key = hashlib.sha256(b"\x00".join((request.method.encode(), request.path.encode("latin-1"), salt, body))).digest()
    return await deliveries.store(
        source,
        verdict._replace(replay_key=key, replay_window=RETRY_WINDOW),
        request._replace(headers=own + others, body=body),
        body,
        delivery_id=delivery_id,
    )
