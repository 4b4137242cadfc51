"""Which names a step may use, and of what type they are."""

from __future__ import annotations

from typing import Any

from app.remediation.rules.document import ActStep, CheckStep, Document, Input
from app.remediation.rules.spec import Catalogue
from app.remediation.rules.types import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    Kind,
    ValueType,
    object_type,
    type_of,
)

_LABELS = ValueType(Kind.MAP, item=STRING)
_MAYBE = ValueType(Kind.STRING, optional=True)

# A run by hand may have no incident, so each of its facts may be absent.
INCIDENT = object_type(
    {
        "id": _MAYBE,
        "title": _MAYBE,
        "severity": _MAYBE,
        "state": _MAYBE,
        "alert_name": _MAYBE,
        "source": _MAYBE,
        "labels": _LABELS,
    }
)
TARGET = object_type({"id": STRING, "name": STRING, "environment": STRING, "owner": STRING, "labels": _LABELS})
_INPUTS = {"int": INTEGER, "number": NUMBER, "string": STRING, "boolean": BOOLEAN}


def names_of(document: Document, catalogue: Catalogue) -> dict[str, ValueType]:
    """This will return every name that the runbook declares, with its type."""
    outputs = outputs_of(document, catalogue)
    return {
        "inputs": object_type({name: input_type(declared) for name, declared in document.inputs.items()}),
        "incident": INCIDENT,
        "target": object_type(dict.fromkeys(document.targets, TARGET)),
        "checks": object_type(outputs),
        **outputs,
    }


def outputs_of(document: Document, catalogue: Catalogue) -> dict[str, ValueType]:
    """This will return what each check and act leaves behind, by step."""
    found: dict[str, ValueType] = {}
    for step in document.steps:
        if isinstance(step, (CheckStep, ActStep)) and step.do in catalogue:
            found[step.key] = type_of(_output(catalogue, step.do, step.arguments))
    return found


def input_type(declared: Input) -> ValueType:
    return _INPUTS[declared.type]


def _output(catalogue: Catalogue, slug: str, arguments: dict[str, Any]) -> object:
    try:
        return catalogue[slug].output_for(arguments)
    except (KeyError, ValueError):
        # The parameters that choose the output are wrong; their own check says so.
        return None
