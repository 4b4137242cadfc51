"""What a tenant may set for a GitHub source."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class GitHubConfig(BaseModel):
    """Which of its events are alerts.

    Attributes:
        all_branches: Failures on any branch count; by default those of the repository's default branch, as a branch in
            work fails every day.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    all_branches: bool = False
