"""Webhook intake: sizes, caches, group commit and draining."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode


class IngestSettings(BaseModel):
    """How ``POST /in/{source}`` and the intake jobs behave under load."""

    public_url: str = Field(
        "",
        description="Scheme and host that senders reach, shown in the curl line of a new source; empty shows the path. "
        "Senders that sign the whole URL (Twilio) are refused without it.",
    )
    client_cert_header: str = Field(
        "",
        pattern=r"^[A-Za-z0-9-]{0,100}$",
        description="Header in which the proxy in front hands on the client's certificate it has verified: RFC 9440, "
        "nginx's $ssl_client_escaped_cert or Envoy's XFCC. Empty: sources with the profile mtls refuse everything.",
    )
    client_cert_proxies: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Networks (CIDR) of the proxies whose client certificate header is believed, separated by commas; "
        "from elsewhere it is a forgery. Empty: from nobody.",
    )
    unknown_source_max_body_bytes: int = Field(
        1_048_576,
        ge=1024,
        description="Bytes read at least of a request whose source is not known; sources bring their own cap, and some "
        "unknown ids get a larger one, so that the size of a refused body tells nothing.",
    )
    max_inflight_bytes: int = Field(
        134_217_728, ge=1_048_576, description="Bytes of bodies held at once by one process; over it the answer is 503."
    )
    max_inflight_requests: int = Field(
        2048, ge=1, description="Requests held at once by one process; over it the answer is 503."
    )
    body_timeout_s: float = Field(10.0, gt=0, description="Seconds in which a sender must deliver its body.")
    source_cache_ttl_s: float = Field(
        3.0, ge=0, description="Seconds for which a source and its secrets are served from memory."
    )
    source_cache_stale_s: float = Field(
        30.0, ge=0, description="Seconds for which an outdated source is still used while the database does not answer."
    )
    source_cache_size: int = Field(10_000, ge=1, description="Sources kept in memory by one process.")
    unknown_cache_ttl_s: float = Field(
        3.0,
        ge=0,
        description="Seconds for which an unknown source id is remembered; as long as a known one, so that the rhythm of "
        "look-ups tells nothing.",
    )
    unknown_cache_size: int = Field(10_000, ge=1, description="Unknown source ids remembered by one process.")
    lookups_at_once: int = Field(2, ge=1, description="Concurrent look-ups of sources in the database, of one process.")
    batch_size: int = Field(128, ge=1, le=1000, description="Deliveries that share one commit at the most.")
    batch_bytes: int = Field(
        16_777_216, ge=1_048_576, description="Bytes of bodies that share one commit at the most, one body excepted."
    )
    commits_at_once: int = Field(4, ge=1, le=64, description="Commits under way at once, of one process.")
    turn_size: int = Field(
        32,
        ge=1,
        le=1000,
        description="Deliveries of one tenant that share a commit while other tenants wait; 16 KiB of body count as one more.",
    )
    queue_size: int = Field(1024, ge=1, description="Deliveries of one tenant that wait for a commit at the most.")
    commit_wait_s: float = Field(
        0.9, gt=0, le=10, description="Seconds a request waits for its commit; then the answer is 503 with Retry-After."
    )
    commit_statement_timeout_ms: int = Field(
        2000, ge=100, description="Milliseconds after which PostgreSQL gives up a group commit's statement."
    )
    retry_after_s: int = Field(1, ge=1, description="Seconds that an overloaded process asks senders to wait.")
    shards: int = Field(
        4,
        ge=1,
        le=64,
        description="Intake jobs of one tenant that may be scheduled side by side; a source keeps to one.",
    )
    drain_batch_size: int = Field(50, ge=1, le=500, description="Deliveries that one intake transaction works through.")
    drain_first_batch_size: int = Field(
        5,
        ge=1,
        le=500,
        description="Deliveries that an intake job works through before it counts as having a backlog; small, so that many"
        " tenants at once do not make each other wait.",
    )
    drain_budget_s: float = Field(
        0.5,
        gt=0,
        description="Seconds after which an intake job hands the rest to its successor, behind other tenants' jobs.",
    )
    backlogs_at_once: int = Field(
        1,
        ge=1,
        le=64,
        description="Batches of backlogs that one worker process applies at once; jobs without one do not wait for them. With"
        " one, a storm takes no more than a processor of worker and PostgreSQL together, and the rest is free.",
    )
    delivery_max_attempts: int = Field(
        3,
        ge=1,
        description="Times a delivery may fail, for reasons that do not pass by themselves, before it is set aside.",
    )
    sweep_after_s: float = Field(
        1.0, gt=0, description="Seconds after which an accepted delivery without an intake job gets one."
    )
    delivery_retention_days: int = Field(
        30, ge=1, description="Days for which finished deliveries and raw bodies stay."
    )
    secret_overlap_s: int = Field(
        86_400, ge=0, description="Seconds for which the previous secret stays valid after a rotation, by default."
    )
    heartbeats_max: int = Field(1000, ge=1, description="Heartbeats that one tenant may have.")
    heartbeat_outage_s: float = Field(
        30.0,
        gt=5,
        description="Seconds after a heartbeat's deadline from which on a look at it counts as our own outage: its sender "
        "gets another turn, as beats could not be taken meanwhile.",
    )
    checks_max: int = Field(
        50, ge=0, description="Checks that one tenant may have: addresses that Tocsin asks by itself."
    )
    refusal_flush_s: float = Field(
        5.0, ge=0, description="Seconds between two write-downs of refused requests, whatever their number."
    )

    @field_validator("client_cert_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [entry.strip() for entry in value.split(",") if entry.strip()] if isinstance(value, str) else value

    @field_validator("client_cert_proxies")
    @classmethod
    def _check_networks(cls, value: list[str]) -> list[str]:
        for entry in value:
            try:
                ipaddress.ip_network(entry)
            except ValueError:
                raise ValueError(f"{entry!r} is no network such as 10.1.0.0/16") from None
        return value
