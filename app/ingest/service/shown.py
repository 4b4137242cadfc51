"""How a source leaves this domain: as a view, as facts for the incidents, and, once, with its secret."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import orjson

from app.core.ids import SourceId, new_id
from app.incidents.schemas import Severity, SourceFacts, StormRule
from app.ingest.contract import FORM, AlertSource
from app.ingest.models import SourceRow
from app.ingest.rules.storms import own_rule
from app.ingest.schemas import SourceView
from app.ingest.sources import get_source as get_kind
from app.net.signing import CompiledProfile, secret_query, sign, slug_and_strength


@dataclass(frozen=True)
class FirstRequest:
    """A delivery that makes sense, ready to be sent."""

    url_path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def curl(self, *, public_url: str) -> str:
        """This will return the command line that sends it."""
        parts = ["curl", "-sS", "-X", "POST", shlex.quote(f"{public_url.rstrip('/')}{self.url_path}")]
        for name, value in self.headers:
            parts += ["-H", shlex.quote(f"{name}: {value}")]
        text = self.body.decode()
        if "\n" not in text:
            return " ".join([*parts, "--data-raw", shlex.quote(text)])
        # One line to be copied, whatever the body's; every shell has printf.
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        return " ".join(["printf %b", shlex.quote(escaped), "|", *parts, "--data-binary @-"])


def example_body(kind: AlertSource) -> bytes:
    """This will return the kind's example as its sender would send it."""
    if kind.example_text:
        return kind.example_text.encode()
    if kind.example_type == FORM:
        return urlencode({name: str(value) for name, value in kind.example.items()}).encode()
    return orjson.dumps(dict(kind.example))


class MadeSecret(NamedTuple):
    """A secret that was kept, as text where it may be shown."""

    id: UUID
    text: str | None


@dataclass(frozen=True, kw_only=True)
class CreatedSource:
    """A new source or secret.

    Attributes:
        secret_id: Names the secret without telling it, to revoke it.
        secret: Shown once; None where the caller gave the public half of a key of its own.
        url_path: Where the sender posts to; carries the secret itself for profiles that put it there.
    """

    source: SourceView
    profile: CompiledProfile
    secret_id: UUID
    secret: str | None
    url_path: str

    def first_request(self, *, now: datetime) -> FirstRequest | None:
        """This will return a first delivery, signed; None where only the sender itself can sign."""
        if self.secret is None:
            return None
        kind = get_kind(self.source.kind)
        body = example_body(kind)
        path = self.url_path.partition("?")[0]
        headers = sign(self.profile, self.secret, body, now, f"first-{new_id().hex[-12:]}", path=path)
        return FirstRequest(self.url_path, (("content-type", kind.example_type), *headers), body)

    def curl(self, *, public_url: str, now: datetime) -> str:
        """This will return a command line that sends a first delivery; a signed time in it holds for some minutes."""
        first = self.first_request(now=now)
        return first.curl(public_url=public_url) if first is not None else ""


def view(row: SourceRow) -> SourceView:
    """This will return the source as its tenant may see it."""
    shown = SourceView.model_validate(row)
    slug, strength = slug_and_strength(row.profile)
    return shown.model_copy(update={"url_path": f"/in/{row.public_id}", "profile": slug, "strength": strength.value})


def source_facts(row: SourceRow, *, storm: StormRule | None = None) -> SourceFacts:
    """This will return what the incidents need to know of a source; its own thresholds go over those of ``storm``."""
    own = {word: Severity(value) for word, value in row.severity_map.items()}
    return SourceFacts(
        id=SourceId(row.id),
        kind=row.kind,
        name=row.name,
        severity_map={**get_kind(row.kind).severities, **own},
        default_severity=Severity(row.default_severity),
        group_by=tuple(str(label) for label in row.group_by),
        resolve_timeout_s=row.resolve_timeout_s,
        storm=own_rule(row.limits, otherwise=storm),
    )


def created(row: SourceRow, profile: CompiledProfile, made: MadeSecret) -> CreatedSource:
    """This will put a row and its new secret together, the URL as its profile needs it."""
    query = secret_query(profile, made.text) if made.text is not None else ""
    path = f"/in/{row.public_id}"
    return CreatedSource(
        source=view(row),
        profile=profile,
        secret_id=made.id,
        secret=made.text,
        url_path=f"{path}?{query}" if query else path,
    )
