"""One alert's unit test: a world in which it fires, and worlds in which it must not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.observability_deploy.files import Rule

Series = dict[str, str]


def flat(value: float, steps: int = 120) -> str:
    """A series that stays; in promtool's notation."""
    return f"{value:g}+0x{steps}"


def growing(per_step: float, steps: int = 120) -> str:
    """A counter."""
    return f"0+{per_step:g}x{steps}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the rule sees and says.

    Attributes:
        fires: Series, one value a step.
        at: When it is asked.
        summary: What a person then reads, rendered.
        labels: Labels of the alert beside its own fixed ones.
        silent: Worlds just beside it in which nobody is called.
        world: Tells apart several ways in which one rule fires.
        step: Distance of the values, and of the rule's evaluations.
    """

    alert: str
    severity: str
    fires: Series
    summary: str
    silent: list[Series]
    labels: dict[str, str] = field(default_factory=dict)
    at: str = "30m"
    step: str = "1m"
    world: str = ""

    @property
    def name(self) -> str:
        return f"{self.alert}-{self.severity}"


def rules_document(rule: Rule, recordings: list[Rule]) -> dict[str, Any]:
    """The rule alone, as it stands, behind what it may read: a second rule of the same name would blur the answer."""
    records = [record.data for record in recordings if record.path == rule.path]
    groups = [{"name": "records", "rules": records}] if records else []
    return {"groups": [*groups, {"name": rule.group, "rules": [rule.data]}]}


def test_document(case: Case, rule: Rule, rules_file: str) -> dict[str, Any]:
    """What ``promtool test rules`` is given."""
    said = {**rule.annotations, "summary": case.summary}
    expected = {"exp_labels": {**rule.data["labels"], **case.labels}, "exp_annotations": said}
    questions: list[dict[str, Any]] = [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": [expected]}]
    if rule.data.get("for"):
        questions.insert(0, {"eval_time": "0m", "alertname": case.alert, "exp_alerts": []})
    tests = [_test(case, case.fires, questions)]
    for world in case.silent:
        tests.append(_test(case, world, [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": []}]))
    return {"rule_files": [rules_file], "evaluation_interval": case.step, "tests": tests}


test_document.__test__ = False  # type: ignore[attr-defined]


def _test(case: Case, world: Series, questions: list[dict[str, Any]]) -> dict[str, Any]:
    series = [{"series": name, "values": values} for name, values in world.items()]
    return {"interval": case.step, "input_series": series, "alert_rule_test": questions}
