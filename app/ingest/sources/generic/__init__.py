"""Any sender of JSON or forms: a mapping by JMESPath, stored with the source. Its defaults fit the names most use."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from app.ingest.contract import AlertSource, Events, ParseError, json_type, load_form, load_json
from app.ingest.sources.generic.config import MappingConfig
from app.ingest.sources.generic.mapping import Mapper, events_of

FORM = "application/x-www-form-urlencoded"


class GenericConfig(MappingConfig):
    """The mapping; its defaults look for the names that most senders use.

    Attributes:
        replay_window_s: How long identical bytes are the same delivery sent again; by default it is the profile's. Short for
            a sender whose words hold neither a time nor an id: open, over and open again are two of the same bytes.
    """

    replay_window_s: int | None = Field(None, ge=1, le=86_400)


def mapper(body: bytes, headers: Mapping[str, str], config: GenericConfig) -> Mapper[GenericConfig]:
    """This will read the body, a form as an object of texts, and prepare its mapping.

    Raises:
        ParseError: Neither JSON nor a form, or neither object nor list.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    document = load_form(body) if media == FORM else load_json(body)
    if not isinstance(document, dict | list):
        raise ParseError(
            "body.unexpected_shape", f"the body is {json_type(document)}, an object or a list was expected"
        )
    return Mapper(config, headers=headers, document=document)


def parse(body: bytes, headers: Mapping[str, str], config: GenericConfig) -> Events:
    """This will return one event per alert that the mapping finds.

    Raises:
        ParseError: Not readable, too many alerts, or a mapping that costs too much.
    """
    return events_of(mapper(body, headers, config))


SOURCE = AlertSource(
    slug="generic",
    title="Any JSON or form",
    profile="standard_webhooks",
    config_model=GenericConfig,
    content_types=(FORM,),
    document="https://www.standardwebhooks.com/",
    document_date="2026-11",
    setup="Post JSON or a form to the address, proved as the source's profile asks: signed with the secret as Standard "
    "Webhooks describes, unless you chose another. Try your own payload with the preview before you save a mapping.",
    parse=parse,
    explain=mapper,
    example={"id": "test-1", "title": "A first alert", "status": "firing", "severity": "info"},
)
