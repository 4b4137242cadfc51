"""Every alert fires when it should, keeps silent when it should, and tells people what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from app.remediation.actions import catalogue
from app.remediation.library import shipped
from app.remediation.rules.loader import load_runbook
from tests.fixtures.prometheus import Tool
from tests.observability_deploy.case import Case, rules_document, test_document
from tests.observability_deploy.cases import CASES
from tests.observability_deploy.files import (
    DEPLOY,
    ROOT,
    RUNBOOKS,
    Rule,
    alerts,
    cluster_rule_files,
    recordings,
    rule_files,
)

SEVERITIES = {"p0", "p1", "p2", "p3", "none"}
# The guide's alerts by their own names (E22), and the objectives and signs of life that this project promises.
PROMISED = {
    "HighQueueDepth",
    "WorkerFailures",
    "HighAPILatency",
    "LowSuccessRate",
    "TenantIsolationViolation",
    "DatabaseConnectionIssues",
    "NotificationFailures",
    "OldestDueJob",
    "EventToEffectBudgetBurn",
    "DeadLetters",
    "WorkerNotPolling",
    "HighErrorRate",
    "IngestRefusals",
    "TocsinRelayDown",
}


@pytest.mark.parametrize("path", [*rule_files(), *cluster_rule_files()], ids=lambda path: path.stem)
def test_prometheus_takes_the_rules(promtool: Tool, path: Path) -> None:
    promtool.must("check", "rules", path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.world}".rstrip("-"))
def test_an_alert_fires_when_it_should_and_only_then(promtool: Tool, tmp_path: Path, case: Case) -> None:
    (rule,) = [rule for rule in alerts() if rule.name == case.name]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules_document(rule, recordings())))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test_document(case, rule, "rules.yaml")))
    promtool.must("test", "rules", tmp_path / "test.yaml")


def test_no_alert_is_untested_and_none_has_two_rules_of_one_severity() -> None:
    names = [rule.name for rule in alerts()]
    assert set(names) == {case.name for case in CASES}
    assert len(set(names)) == len(names)
    # The watchdog fires always: there is no world in which it is silent.
    assert [case.name for case in CASES if not case.silent] == ["Watchdog-none"]


def test_what_was_promised_is_there() -> None:
    assert PROMISED - {rule.alert for rule in alerts()} == set()


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_help_is(rule: Rule) -> None:
    assert rule.severity in SEVERITIES
    assert rule.data["labels"]["service"] == "tocsin"
    assert len(rule.annotations["summary"]) > 15
    assert len(rule.annotations["description"]) > 40
    page = RUNBOOKS / f"{rule.alert}.md"
    assert rule.annotations["runbook_url"].endswith(f"/{page.relative_to(ROOT)}")
    assert page.is_file(), f"{page.name} is missing"


def test_each_page_belongs_to_an_alert_and_says_what_to_look_at_and_what_to_do() -> None:
    pages = {path.stem: path.read_text() for path in RUNBOOKS.glob("*.md") if path.stem != "index"}
    assert set(pages) == {rule.alert for rule in alerts()}
    headings = ("## What it means", "## Look", "## Mend", "## Over")
    wrong = {name: [head for head in headings if head not in text] for name, text in pages.items()}
    assert {name: missing for name, missing in wrong.items() if missing} == {}


def test_the_index_lists_every_alert_with_its_severities() -> None:
    listed = dict(re.findall(r"\[\w+\]\((\w+)\.md\) ([\w/]+)", (RUNBOOKS / "index.md").read_text()))
    wanted: dict[str, list[str]] = {}
    for rule in alerts():
        wanted.setdefault(str(rule.alert), []).append(rule.severity)
    assert {name: severities.split("/") for name, severities in listed.items()} == wanted


def test_tocsins_own_runbooks_that_alerts_name_exist_and_load() -> None:
    library = {name: entry.loaded.document for name, entry in shipped().items()}
    ours = {
        load_runbook(path.read_text(), catalogue=catalogue(), library=library).name
        for path in (DEPLOY / "runbooks").glob("*.yaml")
    }
    named = {name for rule in alerts() if (name := rule.annotations.get("tocsin_runbook"))}
    assert ours <= named <= ours | set(library)
