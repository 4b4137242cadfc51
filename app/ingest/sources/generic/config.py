"""What a tenant may say about the shape of a payload: expressions and templates, each checked when it is saved."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from app.ingest.sources.generic.expressions import EXPRESSION_MAX, InvalidExpression, compile_expression
from app.ingest.sources.generic.templates import TEMPLATE_MAX, compile_template, is_template


def _check_expression(text: str) -> str:
    try:
        compile_expression(text)
    except InvalidExpression as error:
        raise PydanticCustomError("expression", "{reason}", {"reason": str(error)}) from None
    return text


def _check_value(text: str) -> str:
    if not is_template(text):
        return _check_expression(text)
    try:
        compile_template(text)
    except InvalidExpression as error:
        raise PydanticCustomError("template", "{reason}", {"reason": str(error)}) from None
    return text


def _check_plain(text: str) -> str:
    return _check_value(text) if is_template(text) else text


Expression = Annotated[str, Field(min_length=1, max_length=EXPRESSION_MAX), AfterValidator(_check_expression)]
Value = Annotated[str, Field(min_length=1, max_length=TEMPLATE_MAX), AfterValidator(_check_value)]
"""An expression, or a template where it holds ``{{``."""
Words = Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=30)]
Name = Annotated[str, Field(min_length=1, max_length=128)]

TITLES = "title || summary || subject || alert_name || alertname || name || message || text"
DESCRIPTIONS = "description || details || body || message || text"
IDS = "dedup_key || fingerprint || incident_key || alert_id || event_id || id || key"
STATES = "status || state || event_action || action"
SEVERITIES = "severity || priority || level || urgency"
TIMES = "timestamp || event_time || time || occurred_at || created_at"
RESOLVED_WORDS = (
    *("resolved", "resolve", "ok", "up", "closed", "recovered", "recovery", "inactive", "normal", "cleared", "success"),
)
ACKNOWLEDGED_WORDS = ("acknowledged", "acknowledge", "acknowledgement", "acked", "ack")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IgnoreRule(_Part):
    """What is no alert.

    Attributes:
        when: Truthy means that nothing is made of it.
        reason: Shown on the receipt; plain text, or a template.
    """

    when: Expression
    reason: Annotated[str, Field(max_length=200), AfterValidator(_check_plain)] = "a rule of the source ignores it"


class LinkRule(_Part):
    """A link to show.

    Attributes:
        title: Plain text, or a template.
        url: Where to find the address; one that is not http or https is left out.
    """

    title: Annotated[str, Field(max_length=200), AfterValidator(_check_plain)] = "Source"
    url: Value


class MappingConfig(_Part):
    """Where in the payload to find what; each a JMESPath expression or a template.

    Attributes:
        items: The alerts, where one delivery carries several; by default a list as a whole, or the document itself.
        fields: Named values, in order, for ``field('name')`` in what follows.
        dedup: What together makes an alert the same as before; by default the sender's id, else the title.
        resolved_values: Values of ``status`` that mean "over", lower case.
        resolved_when: Truthy means "over", whatever ``status`` says.
        acknowledged_values: Values of ``status`` that mean "somebody has it", lower case.
        acknowledged_when: Truthy means "somebody has it", unless it is over.
        ignore: Rules by which an item is no alert; the first that fits gives the reason.
        labels: Label name to value; without any, the object at ``labels_from``.
        group: Names and values by which alerts become one incident.
        url: The first link's address.
        links: Further links, one by one.
        links_from: A list of links as the sender has it: texts, or objects with ``url`` or ``href``.
    """

    items: Expression | None = None
    fields: Annotated[dict[Name, Value], Field(max_length=32)] = Field(default_factory=dict)
    title: Value = TITLES
    description: Value = DESCRIPTIONS
    dedup: Annotated[tuple[Value, ...], Field(max_length=8)] = ()
    status: Value = STATES
    resolved_values: Words = RESOLVED_WORDS
    resolved_when: Expression | None = None
    acknowledged_values: Words = ACKNOWLEDGED_WORDS
    acknowledged_when: Expression | None = None
    ignore: Annotated[tuple[IgnoreRule, ...], Field(max_length=16)] = ()
    severity: Value = SEVERITIES
    event_time: Value = TIMES
    labels: Annotated[dict[Name, Value], Field(max_length=64)] = Field(default_factory=dict)
    labels_from: Expression = "labels || tags || attributes"
    group: Annotated[dict[Name, Value], Field(max_length=16)] = Field(default_factory=dict)
    url: Value = "url || link || html_url"
    links: Annotated[tuple[LinkRule, ...], Field(max_length=16)] = ()
    links_from: Expression | None = None
