"""Amazon CloudWatch's alarms by way of an SNS topic: the envelope of SNS around the alarm's JSON.

Source: Amazon SNS developer guide, "Parsing message formats" (Notification, SubscriptionConfirmation,
UnsubscribeConfirmation), and CloudWatch user guide, "Notifying users on alarm changes" and "Alarm events and
EventBridge", read 2026-11. With raw message delivery (profile url_secret) the alarm comes without its envelope. An
alarm says ``NewStateValue``: ALARM, OK or INSUFFICIENT_DATA; a composite alarm has ``AlarmRule`` and
``TriggeringChildren`` in place of ``Trigger``. A rule of EventBridge that feeds the topic sends ``detail-type`` and
``detail``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, object_at, objects_at, prose_at, said, text_at, text_of

_HANDSHAKES = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
_NO_DATA = "INSUFFICIENT_DATA"


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the alarm; nothing for the topic's handshakes.

    Raises:
        ParseError: No object, or a message that is no alarm.
    """
    envelope = load_object(body)
    if envelope.get("Type") in _HANDSHAKES:
        return Events(notes=["a handshake of the topic: no alert"])
    alarm = _alarm(envelope)
    name, state = text_at(alarm, "AlarmName"), text_at(alarm, "NewStateValue", limit=40).upper()
    if not name or not state:
        raise ParseError(
            "body.unexpected_shape",
            "the message is no CloudWatch alarm: it has no AlarmName or NewStateValue; for other topics use a source "
            "of the kind generic",
        )
    changed_at = values.parse_time(alarm.get("StateChangeTime")) or values.parse_time(envelope.get("Timestamp"))
    over = state == "OK"
    known = over or state in ("ALARM", _NO_DATA)
    return [
        AlertEvent(
            dedup_key=text_at(alarm, "AlarmArn") or f"{_account(alarm)}:{text_at(alarm, 'Region')}:{name}",
            status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
            title=_title(alarm, name, state),
            description=_described(alarm),
            raw_severity=_severity(alarm, state),
            event_time=changed_at,
            starts_at=None if over else changed_at,
            ends_at=changed_at if over else None,
            labels=_labels(alarm, envelope, name),
            links=values.links(("Alarm", _console(alarm, name))),
            warnings=bounded([] if known else [f"state {state!r} is not known: taken as ALARM"]),
        )
    ]


def _alarm(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    message: object = envelope
    if "Message" in envelope:
        text = envelope["Message"]
        try:
            message = orjson.loads(text) if isinstance(text, str) else text
        except orjson.JSONDecodeError:
            message = None
    if not isinstance(message, dict):
        raise ParseError("body.unexpected_shape", "the topic's message is text, no CloudWatch alarm")
    return _of_event_bridge(message) if isinstance(message.get("detail"), dict) else message


def _of_event_bridge(event: Mapping[str, Any]) -> Mapping[str, Any]:
    detail, resources = event["detail"], event.get("resources")
    state = object_at(detail, "state")
    return {
        "AlarmName": detail.get("alarmName"),
        "AlarmDescription": object_at(detail, "configuration").get("description"),
        "AlarmArn": resources[0] if isinstance(resources, list) and resources else None,
        "AWSAccountId": event.get("account"),
        "NewStateValue": state.get("value"),
        "NewStateReason": state.get("reason"),
        "StateChangeTime": state.get("timestamp"),
        "OldStateValue": object_at(detail, "previousState").get("value"),
        "Region": event.get("region"),
    }


def _account(alarm: Mapping[str, Any]) -> str:
    return text_at(alarm, "AWSAccountId")


def _severity(alarm: Mapping[str, Any], state: str) -> str:
    """An alarm has no severity, so the source's default stands, save where one that was well merely sees nothing."""
    return _NO_DATA.lower() if state == _NO_DATA and text_at(alarm, "OldStateValue") != "ALARM" else ""


def _title(alarm: Mapping[str, Any], name: str, state: str) -> str:
    described = text_of(alarm.get("AlarmDescription"), limit=200)
    where = ", ".join(value for _, value in _dimensions(alarm)[:3] if value not in name)
    title = f"{name} on {where}" if where else name
    if state == _NO_DATA:
        return values.one_line(f"No data: {title}")
    return values.one_line(f"{title}: {described}" if described and described != name else title)


def _described(alarm: Mapping[str, Any]) -> str:
    children = objects_at(alarm, "TriggeringChildren")[:20]
    parts = [
        prose_at(alarm, "AlarmDescription", limit=8000),
        prose_at(alarm, "NewStateReason", limit=4000),
        "\n".join(f"{text_at(object_at(child, 'State'), 'Value')}: {text_at(child, 'Arn')}" for child in children),
    ]
    return description_of(parts, between="\n\n")


def _dimensions(alarm: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = objects_at(object_at(alarm, "Trigger"), "Dimensions")[:30]
    pairs = ((text_at(pair, "name", "Name"), text_at(pair, "value", "Value")) for pair in found)
    return [(name, value) for name, value in pairs if name and value]


def _labels(alarm: Mapping[str, Any], envelope: Mapping[str, Any], name: str) -> dict[str, str]:
    trigger = object_at(alarm, "Trigger")
    return said(
        {
            **dict(_dimensions(alarm)),
            "alertname": name,
            "account": _account(alarm),
            "region": _region(alarm) or text_at(alarm, "Region"),
            "namespace": text_at(trigger, "Namespace"),
            "metric": text_at(trigger, "MetricName"),
            "topic": text_at(envelope, "TopicArn").rpartition(":")[2],
        }
    )


def _region(alarm: Mapping[str, Any]) -> str:
    """The region's code stands in the alarm's ARN; the alarm itself writes its name."""
    parts = text_at(alarm, "AlarmArn").split(":")
    return parts[3] if len(parts) > 6 and parts[3].isascii() and parts[3].replace("-", "").isalnum() else ""


def _console(alarm: Mapping[str, Any], name: str) -> str:
    region = _region(alarm)
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    if not region or not plain:
        return ""
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#alarmsV2:alarm/{name}"


SOURCE = AlertSource(
    slug="cloudwatch",
    title="Amazon CloudWatch (SNS)",
    profile="sns",
    parse=parse,
    severities={**COMMON_SEVERITIES, _NO_DATA.lower(): Severity.P3},
    content_types=("text/plain",),  # SNS posts its JSON as text
    document="https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html",
    document_date="2026-11",
    setup="Make the source with the topic's ARN as its secret: a message of another topic, or one that Amazon did not "
    "sign, is refused. Subscribe the address to the topic (protocol HTTPS, raw message delivery off); the subscription "
    "confirms itself. Name the topic in the alarm's actions for both In alarm and OK: without the OK action nothing "
    "resolves. Alarms have no severity; give each topic a source of its own with the default severity that fits.",
    example={
        "Type": "Notification",
        "MessageId": "70c51e57-0000-4000-8000-000000000001",
        "TopicArn": "arn:aws:sns:eu-central-1:000000000000:tocsin",
        "Message": '{"AlarmName": "tocsin-test", "AlarmDescription": "A first alarm from CloudWatch", "AWSAccountId": '
        '"000000000000", "NewStateValue": "ALARM", "OldStateValue": "OK", "NewStateReason": "Test", "StateChangeTime": '
        '"2026-01-05T12:00:00.000+0000", "Region": "EU (Frankfurt)"}',
        "Timestamp": "2026-01-05T12:00:00.000Z",
    },
)
