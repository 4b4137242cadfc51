"""The other services' paths in the OpenAPI document; they are served in front of FastAPI."""

from __future__ import annotations

from typing import Any

_TAG = "senders of other services"
_UNAVAILABLE = "Not taken; send it again."


def openapi_path_items() -> dict[str, dict[str, Any]]:
    """This will return the path items by path."""
    return _pagerduty_items() | _opsgenie_items() | _other_items()


def _pagerduty_items() -> dict[str, dict[str, Any]]:
    return {
        "/v2/enqueue": {
            "post": _operation(
                "pagerduty_enqueue",
                "Take an event of PagerDuty's Events API v2",
                "The routing key in the body finds the source and proves the sender.",
                {"202": "On disk; `dedup_key` names the alert.", "400": "Not an event, or an unknown routing key."},
            )
        },
        "/v2/change/enqueue": {
            "post": _operation(
                "pagerduty_change",
                "Take a change event of PagerDuty's Events API v2",
                "Kept as a delivery; no alert is made of it.",
                {"202": "On disk.", "400": "Not a change event, or an unknown routing key."},
            )
        },
        "/generic/2010-04-15/create_event.json": {
            "post": _operation(
                "pagerduty_create_event",
                "Take an event of PagerDuty's Events API v1",
                "The service key in the body finds the source and proves the sender.",
                {"200": "On disk; `incident_key` names the alert.", "400": "Not an event, or an unknown service key."},
            )
        },
    }


def _opsgenie_items() -> dict[str, dict[str, Any]]:
    return {
        "/v2/alerts": {
            "post": _opsgenie("opsgenie_create", "Create an alert as with Opsgenie's Alert API", body=True),
        },
        "/v2/alerts/{identifier}": {
            "get": _opsgenie("opsgenie_get", "Show an alert as Opsgenie's Alert API does", _IDENTIFIER, _KIND),
        },
        **{
            f"/v2/alerts/{{identifier}}/{action}": {
                "post": _opsgenie(
                    f"opsgenie_{action}", f"{what} as with Opsgenie's Alert API", _IDENTIFIER, _KIND, body=True
                )
            }
            for action, what in (
                ("acknowledge", "Acknowledge an alert"),
                ("close", "Close an alert"),
                ("notes", "Add a note"),
            )
        },
        "/v2/alerts/requests/{request}": {
            "get": _opsgenie(
                "opsgenie_request",
                "Say what became of a request, as Opsgenie's Alert API does",
                _path("request", "Its id."),
            ),
        },
        "/v2/heartbeats/{name}/ping": {
            method: _opsgenie(
                f"opsgenie_ping_{method}",
                "Take a beat as Opsgenie's Heartbeat API does",
                _path("name", "The heartbeat's."),
            )
            for method in ("get", "post", "put", "patch")
        },
    }


def _other_items() -> dict[str, dict[str, Any]]:
    return {
        "/integrations/v1/formatted_webhook/{key}/": {
            "post": _operation(
                "oncall_formatted_webhook",
                "Take an alert in the shape of Grafana OnCall's formatted webhook",
                "The key in the path finds the source and proves the sender.",
                {"200": "On disk.", "403": "An unknown key."},
                _path("key", "The source's secret."),
            )
        },
        "/in/{source}/api/v2/alerts": {
            "post": _operation(
                "receive_prometheus",
                "Take alerts from Prometheus itself",
                "For sources of kind `prometheus`, authenticated as everything that the source sends.",
                {"200": "On disk.", "401": "Not authenticated, or a source of another kind."},
                _path("source", "The source's unguessable public id."),
            )
        },
    }


def _path(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


_IDENTIFIER = _path("identifier", "Of the alert, as `identifierType` says.")
_KIND = {
    "name": "identifierType",
    "in": "query",
    "required": False,
    "description": "How the alert is named.",
    "schema": {"type": "string", "enum": ["id", "alias", "tiny"], "default": "id"},
}


def _opsgenie(name: str, summary: str, *parameters: dict[str, Any], body: bool = False) -> dict[str, Any]:
    taken = (
        {"202": "On disk; what becomes of it is asked with `requestId`."} if body else {"200": "What was asked for."}
    )
    if "ping" in name:
        taken = {"202": "The deadline has moved."}
    refused = {
        "401": "No key of a source in `Authorization: GenieKey`.",
        "404": "Not there.",
        "422": "A field is wrong.",
    }
    about = (
        "The key in `Authorization: GenieKey`, or as the password of basic authentication, finds the source and proves the"
        " sender."
    )
    return _operation(name, summary, about, taken | refused, *parameters, body=body)


def _operation(
    name: str, summary: str, description: str, responses: dict[str, str], *parameters: dict[str, Any], body: bool = True
) -> dict[str, Any]:
    every = responses | {"413": "The body is too large.", "503": _UNAVAILABLE}
    operation: dict[str, Any] = {
        "tags": [_TAG],
        "operationId": name,
        "summary": summary,
        "description": description,
        "security": [],
        "parameters": list(parameters),
        "responses": {status: _response(status, about) for status, about in sorted(every.items())},
    }
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": {}}}}
    return operation


def _response(status: str, description: str) -> dict[str, Any]:
    response: dict[str, Any] = {"description": description}
    if status == "503":
        response["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return response
