"""What a tenant may set for a GitLab source."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class GitLabConfig(BaseModel):
    """Which of its events are alerts.

    Attributes:
        all_branches: Failures on any branch and in merge requests count; by default those of the project's default
            branch, as a branch in work fails every day.
        issues: Plain issues count as well; by default incidents only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    all_branches: bool = False
    issues: bool = False
