"""The address of a source that takes mail."""

from __future__ import annotations

from app.ingest.rules.mail import address_of
from app.ingest.service.shown import CreatedSource
from app.ingest.sources import get_source as get_kind
from app.net.signing import Kind
from app.settings.smtp import SmtpSettings

MAIL = "message/rfc822"


def mail_address(created: CreatedSource, settings: SmtpSettings) -> str | None:
    """This will return where to mail to; None for a source that takes no mail, or proves itself otherwise."""
    takes_mail = MAIL in get_kind(created.source.kind).content_types
    if created.secret is None or not takes_mail or created.profile.kind is not Kind.URL_SECRET:
        return None
    return address_of(created.source.public_id, created.secret, domain=settings.domain)
