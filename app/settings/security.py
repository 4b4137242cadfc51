"""The keys that protect what is stored, and what may be reached from here."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

KEY_SIZE_BYTES = 32
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")


def decode_key_entry(entry: str) -> tuple[str, bytes]:
    """This will split ``id:base64key`` into the id and the 32 key bytes.

    Raises:
        ValueError: The entry has another shape. The message never holds the key.
    """
    key_id, separator, encoded = entry.partition(":")
    if not separator or _KEY_ID.fullmatch(key_id) is None:
        raise ValueError("an encryption key is written id:base64, the id of 1 to 32 letters, digits, '-' or '_'")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError(f"encryption key {key_id!r} is not base64") from None
    if len(key) != KEY_SIZE_BYTES:
        raise ValueError(f"encryption key {key_id!r} has {len(key)} bytes; it must have {KEY_SIZE_BYTES}")
    return key_id, key


class SecuritySettings(BaseModel):
    """Encryption at rest, token hashing and the egress guard."""

    # A malformed key must not be printed by the error that refuses it.
    model_config = ConfigDict(hide_input_in_errors=True)

    encryption_keys: Annotated[list[SecretStr], NoDecode] = Field(
        default_factory=list,
        description="Keys for secrets at rest, newest first, each 'id:base64' of 32 random bytes; separated by commas "
        "or a JSON list. The first encrypts, all decrypt. Without a key nothing secret can be stored or read.",
    )
    token_pepper: SecretStr = Field(
        SecretStr(""),
        description="Secret mixed into the hash of API tokens; at least 32 characters in production. "
        "Changing it revokes every token.",
    )
    egress_allow: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Private networks (CIDR) and host:port pairs that outgoing calls may reach, separated by commas or "
        "a JSON list. Public addresses need no entry; cloud metadata addresses are refused even with one.",
    )
    egress_ca_file: str | None = Field(
        None,
        description="PEM file of further certificate authorities that outgoing TLS trusts; unset trusts public ones.",
    )
    egress_connect_timeout_s: float = Field(
        5.0, gt=0, le=60, description="Seconds for name look-up, connection and TLS handshake of one outgoing call."
    )
    egress_max_connections: int = Field(
        100, ge=1, le=2000, description="Open outgoing connections of one process at the most."
    )
    egress_max_per_host: int = Field(
        20, ge=1, le=1000, description="Concurrent outgoing calls to one host; a hanging host holds up no other."
    )
    egress_max_response_bytes: int = Field(
        1_048_576, ge=1024, description="Bytes read of one response unless the caller sets its own cap."
    )

    @field_validator("encryption_keys", "egress_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """This will accept ``a,b`` beside a JSON list: the form that fits into one environment variable."""
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return _parse_json_list(value)
        return [entry.strip() for entry in value.split(",") if entry.strip()]

    @field_validator("encryption_keys")
    @classmethod
    def _check_keys(cls, value: list[SecretStr]) -> list[SecretStr]:
        ids = [decode_key_entry(entry.get_secret_value())[0] for entry in value]
        if len(set(ids)) != len(ids):
            raise ValueError("two encryption keys have the same id")
        return value

    @field_validator("egress_allow")
    @classmethod
    def _check_allowed(cls, value: list[str]) -> list[str]:
        for entry in value:
            if _HOST_AND_PORT.fullmatch(entry) is not None:
                continue
            try:
                ipaddress.ip_network(entry)
            except ValueError:
                raise ValueError(f"{entry!r} is neither a network (10.1.0.0/16) nor host:port") from None
        return value


def _parse_json_list(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError("the list is neither JSON nor separated by commas") from None
