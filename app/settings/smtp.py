"""Receiving mail: where the listener listens, how much it takes, how long it waits."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, model_validator


class SmtpSettings(BaseModel):
    """The SMTP listener of email sources, ``python -m app.smtp``."""

    host: str = Field("127.0.0.1", description="Address that the listener binds to.")
    port: int = Field(2525, ge=0, le=65535, description="Its port; 0 lets the system choose.")
    public_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port shown with the address of a new email source, where senders need to know it.",
    )
    domain: str = Field(
        "localhost",
        min_length=1,
        max_length=200,
        description="Domain of the addresses shown for email sources, and the name the listener greets with; mail for other "
        "domains is taken too, as only the part before the @ counts.",
    )
    certificate_file: Path | None = Field(
        None, description="TLS certificate (chain) in PEM; with it STARTTLS is offered."
    )
    key_file: Path | None = Field(None, description="The certificate's private key in PEM.")
    require_starttls: bool = Field(False, description="Refuse mail over connections that are not encrypted.")
    allow_plain: bool = Field(
        False, description="Let the listener start in production without a certificate, behind a mail server of yours."
    )
    max_message_bytes: int = Field(
        5_242_880, ge=65_536, le=26_214_400, description="Largest mail, announced as SIZE and enforced while it comes."
    )
    max_line_bytes: int = Field(8192, ge=1001, le=65_536, description="Longest line of a mail.")
    max_recipients: int = Field(10, ge=1, le=100, description="Recipients of one mail.")
    max_messages: int = Field(100, ge=1, description="Mails of one connection.")
    max_errors: int = Field(5, ge=1, description="Refused recipients and senders after which a connection is closed.")
    max_connections: int = Field(200, ge=1, description="Connections at once, of one process.")
    max_connections_per_peer: int = Field(20, ge=1, description="Connections at once from one address.")
    max_inflight_bytes: int = Field(
        67_108_864,
        ge=1_048_576,
        description="Bytes of mails that arrive at once, of one process; over it the answer is 452.",
    )
    command_timeout_s: float = Field(60.0, gt=0, description="Seconds that the listener waits for the next command.")
    data_timeout_s: float = Field(120.0, gt=0, description="Seconds in which a mail must arrive.")
    session_timeout_s: float = Field(900.0, gt=0, description="Seconds after which a connection is closed in any case.")
    stop_timeout_s: float = Field(20.0, gt=0, description="Seconds that a stopping listener gives mails under way.")
    metrics_port: int = Field(9104, ge=0, le=65535, description="Port of the listener's metrics and probes.")

    @model_validator(mode="after")
    def _certificate_is_whole(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("a certificate needs its key: set both certificate_file and key_file, or neither")
        if self.require_starttls and self.certificate_file is None:
            raise ValueError("require_starttls needs certificate_file and key_file")
        return self
