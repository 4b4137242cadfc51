"""The intake route in the OpenAPI document; it is served in front of FastAPI, which therefore cannot describe it."""

from __future__ import annotations

from typing import Any

_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def openapi_path_item() -> dict[str, Any]:
    """This will return the path item of ``/in/{source}``."""
    return {
        "post": {
            "tags": ["ingest"],
            "operationId": "receive_webhook",
            "summary": "Receive a webhook",
            "description": (
                "The source's profile says how the request must be authenticated, over its raw bytes. The answer comes "
                "when the delivery is on disk. The same delivery again answers with the first receipt."
            ),
            "security": [],
            "parameters": [
                {
                    "name": "source",
                    "in": "path",
                    "required": True,
                    "description": "The source's unguessable public id.",
                    "schema": {"type": "string", "pattern": "^[0-9a-z]{26}$"},
                }
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
            "responses": {
                "200": {"description": "As 202, for senders that want 200; or the echo of a signed handshake."},
                "202": {
                    "description": "On disk; see what becomes of it at receipt_url.",
                    "content": {"application/json": {"schema": _RECEIPT}},
                },
                "400": _problem("Authenticated, but the body is no text; kept as rejected."),
                "401": _problem("Not authenticated. An unknown source answers exactly the same."),
                "405": _problem("Only POST is accepted."),
                "410": _problem("Authenticated, but the source was deleted: stop sending."),
                "413": _problem("The body is over the source's limit."),
                "415": _problem("The content type or encoding is not accepted."),
                "503": {**_problem("Not taken; send it again."), "headers": _RETRY},
            },
        }
    }


_RECEIPT = {
    "type": "object",
    "required": ["receipt_id", "duplicate", "receipt_url"],
    "properties": {
        "receipt_id": {"type": "string", "format": "uuid"},
        "duplicate": {"type": "boolean", "description": "True where this delivery was taken before."},
        "receipt_url": {"type": "string", "examples": ["/v1/receipts/0199b0c4-0000-7000-8000-000000000000"]},
    },
}


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
