"""The loader takes good runbooks and refuses every unsafe one, with the line and the reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from app.remediation.actions import catalogue
from app.remediation.library import shipped
from app.remediation.rules.document import STEP_KINDS
from app.remediation.rules.loader import LoadedRunbook, load_runbook
from app.remediation.rules.text import RunbookRefused

GOOD = """
runbook: mend-web
version: 1
about: Restarts the web service.
targets: {service: {kind: http}}
inputs: {path: {type: string, default: /health}}
limits: {ceiling: once, per_hour: 3, run_timeout: 10m}
steps:
  - check: probe
    do: http.probe
    on: service
    with: {path: "${inputs.path}"}
    timeout: 5s
  - decide: needed
    first: [{if: "probe.up", go: end_noop}]
    else: restart
  - act: restart
    do: http.request
    on: service
    with: {method: POST, path: /restart}
    timeout: 5s
    then: verify
recovered:
  every: 1s
  for: 1m
  need: 2 in a row
  all: [{check: probe, is: "probe.up"}]
"""
ACT = GOOD[GOOD.index("  - act: restart") : GOOD.index("recovered:")]
PROBE = GOOD[GOOD.index("  - check: probe") : GOOD.index("  - decide")]
MANY = "".join(f"  - tell: t{number}\n    text: x\n" for number in range(60))
EVERY_KIND = GOOD.replace(
    "  - act: restart",
    """  - ask: sure
    question: "Restart ${target.service.name}?"
    expires: 5m
    else: handed
    then: pause
  - tell: handed
    escalate: {policy: default, reason: Nobody agreed.}
  - wait: pause
    for: 5s
  - tell: said
    text: "Restarting."
  - act: restart""",
).replace("else: restart", "else: sure")


def load(source: str, **library: Any) -> LoadedRunbook:
    documents = {name: entry.loaded.document for name, entry in shipped().items()}
    return load_runbook(source, catalogue=catalogue(), library=documents | library)


def test_a_good_runbook_loads_and_its_digest_is_of_its_content() -> None:
    loaded = load(GOOD)
    assert (loaded.name, loaded.warnings) == ("mend-web", ())
    assert load("# a comment\n" + GOOD).digest == loaded.digest
    assert load(GOOD.replace("need: 2", "need: 3")).digest != loaded.digest


def test_every_kind_of_step_is_understood() -> None:
    loaded = load(EVERY_KIND)
    used = load(GOOD.replace(ACT, "  - use: restart\n    runbook: http-service-recovery\n"))
    kinds = {step.kind for document in (loaded.document, used.document) for step in document.steps}
    assert kinds == set(STEP_KINDS)


REFUSED: dict[str, tuple[str, str]] = {
    "no check of the target before the act": (
        GOOD.replace("{service: {kind: http}}", "{service: {kind: http}, other: {kind: http}}").replace(
            PROBE, PROBE.replace("on: service", "on: other")
        ),
        "check",
    ),
    "no recovered": (GOOD[: GOOD.index("recovered:")], "recovered"),
    "risk above the ceiling": (GOOD.replace("ceiling: once", "ceiling: read"), "ceiling"),
    "a missing time-out": (GOOD.replace("    timeout: 5s\n", "", 1), "timeout"),
    "an unknown action": (GOOD.replace("do: http.request", "do: shell.run"), "shell.run"),
    "an unknown key": (GOOD.replace("version: 1", "version: 1\nowner: me"), "owner"),
    "an unknown output": (GOOD.replace('if: "probe.up"', 'if: "probe.well"'), "well"),
    "an output of a later step": (GOOD.replace('if: "probe.up"', 'if: "restart.status == 200"'), "restart"),
    "an undeclared input": (GOOD.replace("${inputs.path}", "${inputs.paths}"), "paths"),
    "a condition of the wrong type": (GOOD.replace('if: "probe.up"', 'if: "probe.duration_ms"'), "true or false"),
    "a comparison of unlike things": (GOOD.replace('if: "probe.up"', 'if: "probe.up > 3"'), "cannot be compared"),
    "a way to nowhere": (GOOD.replace("else: restart", "else: nowhere"), "nowhere"),
    "a circle": (GOOD.replace("then: verify", "then: needed"), "restart"),
    "an end without verification": (GOOD.replace("    then: verify\n", ""), "without verification"),
    "a step twice": (GOOD.replace("decide: needed", "decide: probe"), "probe"),
    "a reserved name": (GOOD.replace("decide: needed", "decide: verify"), "reserved"),
    "a target that is not declared": (GOOD.replace("on: service", "on: servant"), "servant"),
    "a target of the wrong kind": (GOOD.replace("{kind: http}", "{kind: redis}"), "redis"),
    "an unknown parameter": (GOOD.replace("path: /restart}", "path: /restart, shell: true}"), "shell"),
    "a parameter of the wrong type": (GOOD.replace("method: POST", "method: BREW"), "method"),
    "a path that leaves the host": (GOOD.replace("path: /restart", "path: //evil.example/x"), "path"),
    "an action that only the engine may use": (GOOD.replace("do: http.request", "do: resolve"), "resolve"),
    "a reading act": (
        GOOD.replace("do: http.request", "do: http.probe").replace("{method: POST, path: /restart}", "{path: /x}"),
        "only reads",
    ),
    "an unknown runbook": (
        GOOD.replace(ACT, "  - use: restart\n    runbook: no-such-runbook\n"),
        "no-such-runbook",
    ),
    "an anchor": (GOOD.replace("targets: {", "targets: &t {"), "anchor"),
    "a tag": (GOOD.replace("version: 1", "version: !!int 1"), "tag"),
    "a key twice": (GOOD.replace("version: 1", "version: 1\nversion: 2"), "version"),
    "no mapping": ("- just\n- a list\n", ""),
    "broken YAML": ("runbook: [", ""),
    "nothing": ("", ""),
    "too many steps": (GOOD.replace(ACT, MANY + ACT), "60"),
    "too long": (GOOD + "# " + "x" * 70_000, "65536"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_each_fault_is_refused_with_its_reason(fault: str) -> None:
    source, reason = REFUSED[fault]
    assert source != GOOD, "the fault was not made"
    with pytest.raises(RunbookRefused) as refused:
        load(source)
    assert reason in str(refused.value)
    assert all(problem.line >= 0 for problem in refused.value.problems)


def test_a_problem_names_its_line() -> None:
    source = GOOD.replace('if: "probe.up"', 'if: "probe.well"')
    with pytest.raises(RunbookRefused) as refused:
        load(source)
    line = next(number for number, text in enumerate(source.splitlines(), start=1) if "probe.well" in text)
    assert line in {problem.line for problem in refused.value.problems}


def test_what_is_shipped_loads_without_a_warning() -> None:
    assert set(shipped()) == {"http-service-recovery", "postgres-connections", "redis-queue-depth"}
    assert [entry.loaded.warnings for entry in shipped().values()] == [()] * 3


def test_the_documents_example_loads() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "write-a-runbook.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    assert load(example).name == "restart-web"
