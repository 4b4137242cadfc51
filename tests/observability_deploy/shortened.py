"""The deployed configuration with its times made short and its addresses made local, and nothing else.

Altered in Prometheus' file: ``scrape_interval`` and ``evaluation_interval`` to 1 s and ``scrape_timeout`` to 1 s; the targets;
the place of the rules. The job ``node`` is left out.
Altered in the rules: ``for``, where there is one, to 3 s; a group's ``interval`` to 1 s. Every expression, threshold, label
and annotation is as deployed.
Altered in Alertmanager's file: ``group_wait`` and ``group_interval`` to 1 s (0 s stays); Tocsin's address and the place of
its token. The receivers for pager, chat, mail and heartbeat keep their names and routes but send nothing, and the addresses
and keys of those services go.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.observability_deploy.files import DEPLOY, rule_files

SHORT = "1s"
FOR = "3s"


def write_rules(folder: Path) -> Path:
    """This will write the rules and return what ``rule_files`` must say."""
    folder.mkdir()
    for path in rule_files():
        document = yaml.safe_load(path.read_text())
        for group in document["groups"]:
            if "interval" in group:
                group["interval"] = SHORT
            group["rules"] = [{**rule, "for": FOR} if "for" in rule else rule for rule in group["rules"]]
        (folder / path.name).write_text(yaml.safe_dump(document))
    return folder / "*.yaml"


def write_prometheus(folder: Path, *, targets: dict[str, str]) -> Path:
    """This will write Prometheus' configuration.

    Args:
        folder: Where to.
        targets: Address by job.
    """
    document = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    document["global"] |= {"scrape_interval": SHORT, "evaluation_interval": SHORT, "scrape_timeout": SHORT}
    document["rule_files"] = [str(write_rules(folder / "rules"))]
    document["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [targets["alertmanager"]]}]}]
    scraped = [job for job in document["scrape_configs"] if job["job_name"] not in ("node", "tocsin-smtp")]
    document["scrape_configs"] = [
        {**job, "static_configs": [{"targets": [targets[job["job_name"]]]}]} for job in scraped
    ]
    return _written(folder / "prometheus.yaml", document)


def write_alertmanager(folder: Path, *, url: str, token: str) -> Path:
    """This will write Alertmanager's configuration and the token's file."""
    document = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yaml").read_text())
    kept = (folder / "tocsin-token").resolve()
    kept.write_text(token)
    document["global"] = {"resolve_timeout": document["global"]["resolve_timeout"]}
    for route in (document["route"], *document["route"]["routes"]):
        route |= {name: SHORT for name in ("group_wait", "group_interval") if route.get(name, "0s") != "0s"}
    receivers: list[dict[str, Any]] = []
    for receiver in document["receivers"]:
        if receiver["name"] == "tocsin":
            (webhook,) = receiver["webhook_configs"]
            webhook["url"] = url
            webhook["http_config"]["authorization"]["credentials_file"] = str(kept)
            receivers.append(receiver)
        else:
            receivers.append({"name": receiver["name"]})
    document["receivers"] = receivers
    return _written(folder / "alertmanager.yaml", document)


def _written(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(document))
    return path
