"""How jobs are relayed, leased and retried."""

from __future__ import annotations

from pydantic import BaseModel, Field


class JobSettings(BaseModel):
    """Relay and worker behaviour. The defaults hold for one machine and for many."""

    poll_interval_s: float = Field(0.25, gt=0, le=60, description="Seconds between the relay's polls for due jobs.")
    sweep_interval_s: float = Field(1.0, gt=0, le=300, description="Seconds between sweeps for lost or expired jobs.")
    batch_size: int = Field(200, ge=1, le=5000, description="Jobs that one relay pass publishes at the most.")
    window_per_queue: int = Field(
        256, ge=1, description="Published but not started jobs per queue above which the relay holds back."
    )
    republish_after_s: float = Field(
        30.0, gt=0, description="Seconds a published job may wait before it is sent again."
    )
    lease_s: float = Field(
        60.0,
        ge=10,
        description="Seconds a claim holds without renewal; a lost worker's job waits this long for the next.",
    )
    lease_slack_s: float = Field(10.0, ge=0, description="Seconds added before an effect of a lost worker is judged.")
    park_s: float = Field(
        60.0, gt=0, description="Seconds a job of an unknown kind is parked before it is offered again."
    )
    drain_timeout_s: float = Field(25.0, gt=0, description="Seconds a stopping worker gives its running jobs.")
    poll_fallback_s: float = Field(
        3.0,
        gt=0,
        description="Seconds after which a worker takes a published job from PostgreSQL itself, broker or not.",
    )
    worker_concurrency: int = Field(16, ge=1, le=256, description="Jobs that one worker process runs at once.")
    stale_worker_s: float = Field(
        30.0, gt=0, description="Seconds without a completed poll after which a worker is dead."
    )
    keep_finished_days: int = Field(7, ge=1, description="Days that finished jobs are kept.")
    relay_metrics_port: int = Field(9102, ge=0, le=65535, description="Metrics port of the relay; 0 picks a free one.")
    worker_metrics_port: int = Field(
        9103, ge=0, le=65535, description="Metrics port of a worker; the next free is taken."
    )
