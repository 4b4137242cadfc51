"""What the token API takes and shows."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.auth.rules import Role
from app.http.moment import Moment


class TokenRequest(BaseModel):
    """A token to make."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=100, description="What it is for; shown in the audit trail.")
    role: Role
    expires_at: Moment | None = Field(None, description="End of its life; leave it out for none.")


class TokenView(BaseModel):
    """A token as it is listed: never its text."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    role: Role
    prefix: str = Field(description="The first characters, to recognise it by.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class CreatedTokenView(TokenView):
    """The same with the text, shown this once."""

    token: str | None = Field(
        description="Send it as 'Authorization: Bearer <token>'. It is not shown again: null in an answer that is repeated "
        "for its Idempotency-Key; revoke that token and make another where the first answer was lost."
    )


class MeView(BaseModel):
    """Who the caller is."""

    tenant_id: UUID
    token_id: UUID
    name: str
    role: Role
