"""Callers for tests of outgoing calls: their settings and their names."""

from __future__ import annotations

from app.net.outbound import OutboundHttp
from app.settings.security import SecuritySettings


class Names:
    """A resolver whose answers the test writes; it counts how often it was asked."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> list[str]:
        self.asked += 1
        return self._answers[min(self.asked, len(self._answers)) - 1]


def outbound(*allow: str, names: Names | None = None, **settings: object) -> OutboundHttp:
    configured = SecuritySettings.model_validate({"egress_allow": list(allow), **settings})
    return OutboundHttp(configured, resolver=names) if names is not None else OutboundHttp(configured)
