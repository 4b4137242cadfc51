"""Runbooks for a service that answers at ``/health``: a test writes the steps it is about, the rest is the same."""

from __future__ import annotations

LOOK = """  - check: probe
    do: http.probe
    on: service
    with: {path: /health}
    timeout: 5s
"""


def restart(how: str = "method: POST, path: /restart", *, approval: str = "") -> str:
    """This will return the step that restarts the service and ends the work; ``approval`` makes it wait for consent."""
    asked = f"    approval: {approval}\n" if approval else ""
    return (
        "  - act: restart\n    do: http.request\n    on: service\n"
        f"    with: {{{how}}}\n{asked}    timeout: 5s\n    then: verify\n"
    )


def make_runbook(
    slug: str, *steps: str, limits: str = "ceiling: once, per_hour: 5, run_timeout: 10m", inputs: str = ""
) -> str:
    """This will return the source of a runbook; recovered is who answers twice in a row."""
    return f"""
runbook: {slug}
version: 1
about: Treats a web service.
targets: {{service: {{kind: http}}}}
inputs: {{{inputs}}}
limits: {{{limits}}}
steps:
{"".join(steps)}recovered:
  every: 1s
  for: 30s
  need: 2 in a row
  all: [{{check: probe, is: "probe.up"}}]
"""


def make_looking_runbook(slug: str) -> str:
    """This will return the source of a runbook that only looks, for tests in which none runs."""
    return make_runbook(slug, LOOK, "    then: verify\n", limits="ceiling: read, run_timeout: 5m")
