"""The parts of three custom resources that are used here, as JSON schemas: the package of Kubernetes schemas has no custom ones.

Source: https://keda.sh/docs/2.22/reference/scaledobject-spec/, https://keda.sh/docs/2.22/scalers/prometheus/ and
https://prometheus-operator.dev/docs/api-reference/api/ (2026-11), the durations' pattern of rules from its definition 0.82.
"""

from __future__ import annotations

from typing import Any

COUNT = {"type": "integer", "minimum": 0}
WINDOW = {"type": "integer", "minimum": 0, "maximum": 3600}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    """This will return the schema of an object with these properties and no others."""
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


# Every value is a string in a trigger's metadata, numbers and booleans too.
PROMETHEUS = closed(
    ["serverAddress", "query", "threshold"],
    serverAddress={"type": "string", "format": "uri", "pattern": "^https?://"},
    query={"type": "string", "minLength": 1},
    threshold={"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"},
    activationThreshold={"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"},
    ignoreNullValues={"enum": ["true", "false"]},
    unsafeSsl={"enum": ["true", "false"]},
    timeout={"type": "string"},
    authModes={"enum": ["bearer", "basic", "tls", "custom"]},
)
RULES = closed(
    [],
    stabilizationWindowSeconds=WINDOW,
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies={
        "type": "array",
        "items": closed(
            ["type", "value", "periodSeconds"],
            type={"enum": ["Pods", "Percent"]},
            value={"type": "integer", "minimum": 1},
            periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
        ),
    },
)
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = closed(["name"], name={"type": "string"}, namespace={"type": "string"}, labels=TEXTS, annotations=TEXTS)


def custom(version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object of somebody's own kind."""
    return closed(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": version},
        kind={"const": kind},
        metadata=METADATA,
        spec=spec,
    )


DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"}
LABEL = {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}
RELABELING = closed(
    [],
    sourceLabels={"type": "array", "items": LABEL},
    separator={"type": "string"},
    targetLabel={"type": "string"},
    regex={"type": "string"},
    modulus=COUNT,
    replacement={"type": "string"},
    action={"enum": ["replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase"]},
)
SERVICE_MONITOR = custom(
    "monitoring.coreos.com/v1",
    "ServiceMonitor",
    closed(
        ["selector", "endpoints"],
        selector=closed([], matchLabels=TEXTS),
        endpoints={
            "type": "array",
            "minItems": 1,
            "items": closed(
                ["port"],
                port={"type": "string"},
                path={"type": "string", "pattern": "^/"},
                interval=DURATION,
                scrapeTimeout=DURATION,
                relabelings={"type": "array", "items": RELABELING},
            ),
        },
    ),
)
# Units from years to milliseconds, each at most once and in this order.
UNITS = ("y", "w", "d", "h", "m", "s", "ms")
RULE_DURATION = {"type": "string", "pattern": f"^(0|{''.join(f'([0-9]+{unit})?' for unit in UNITS)})$"}
RULE = closed(
    ["expr"],
    alert={"type": "string", "minLength": 1},
    record={"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"},
    # A number would be taken too; ours are all expressions.
    expr={"type": "string", "minLength": 1},
    **{"for": RULE_DURATION},
    keep_firing_for=RULE_DURATION,
    labels=TEXTS,
    annotations=TEXTS,
) | {"oneOf": [{"required": ["alert"]}, {"required": ["record"]}]}
PROMETHEUS_RULE = custom(
    "monitoring.coreos.com/v1",
    "PrometheusRule",
    closed(
        ["groups"],
        groups={
            "type": "array",
            "minItems": 1,
            "items": closed(
                ["name", "rules"],
                name={"type": "string", "minLength": 1},
                interval=RULE_DURATION,
                limit=COUNT,
                query_offset=RULE_DURATION,
                labels=TEXTS,
                rules={"type": "array", "minItems": 1, "items": RULE},
            ),
        },
    ),
)
SCALED_OBJECT = custom(
    "keda.sh/v1alpha1",
    "ScaledObject",
    closed(
        ["scaleTargetRef", "triggers"],
        scaleTargetRef=closed(
            ["name"], apiVersion={"type": "string"}, kind={"type": "string"}, name={"type": "string"}
        ),
        pollingInterval={"type": "integer", "minimum": 1},
        cooldownPeriod=COUNT,
        initialCooldownPeriod=COUNT,
        idleReplicaCount=COUNT,
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        fallback=closed(
            ["failureThreshold", "replicas"],
            failureThreshold=COUNT,
            replicas=COUNT,
            behavior={"enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]},
        ),
        advanced=closed(
            [],
            restoreToOriginalReplicaCount={"type": "boolean"},
            horizontalPodAutoscalerConfig=closed(
                [], name={"type": "string"}, behavior=closed([], scaleUp=RULES, scaleDown=RULES)
            ),
        ),
        triggers={
            "type": "array",
            "minItems": 1,
            "items": closed(
                ["type", "metadata"],
                type={"const": "prometheus"},
                name={"type": "string"},
                metricType={"enum": ["AverageValue", "Value"]},
                metadata=PROMETHEUS,
                authenticationRef=closed(["name"], name={"type": "string"}, kind={"type": "string"}),
            ),
        },
    ),
)
CUSTOM = {"ScaledObject": SCALED_OBJECT, "ServiceMonitor": SERVICE_MONITOR, "PrometheusRule": PROMETHEUS_RULE}
