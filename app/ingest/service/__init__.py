"""The use cases of ingest."""

from __future__ import annotations

from app.ingest.repository.deliveries import DeliveryFilter
from app.ingest.service.mail import mail_address
from app.ingest.service.preview import preview
from app.ingest.service.proving import SourceKeyTaken
from app.ingest.service.receipts import (
    DeliveryNotFound,
    DeliveryNotReplayable,
    accept_again,
    find_receipts,
    get_receipt,
    list_receipts,
    read_body,
)
from app.ingest.service.secrets import (
    LastSecret,
    SourceSecretNotFound,
    SourceSecretsFull,
    add_another_secret,
    list_secrets,
    revoke_secret,
    rotate_secret,
)
from app.ingest.service.shown import CreatedSource, source_facts, view
from app.ingest.service.sources import (
    SourceConfigInvalid,
    SourceNameTaken,
    SourceNotFound,
    create_source,
    delete_source,
    get_source,
    list_refusals,
    list_sources,
    update_source,
)

__all__ = [
    "CreatedSource",
    "DeliveryFilter",
    "DeliveryNotFound",
    "DeliveryNotReplayable",
    "LastSecret",
    "SourceConfigInvalid",
    "SourceKeyTaken",
    "SourceNameTaken",
    "SourceNotFound",
    "SourceSecretNotFound",
    "SourceSecretsFull",
    "accept_again",
    "add_another_secret",
    "create_source",
    "delete_source",
    "find_receipts",
    "get_receipt",
    "get_source",
    "list_receipts",
    "list_refusals",
    "list_secrets",
    "list_sources",
    "mail_address",
    "preview",
    "read_body",
    "revoke_secret",
    "rotate_secret",
    "source_facts",
    "update_source",
    "view",
]
