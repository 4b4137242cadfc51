"""The compose file: valid by its specification, hardened, each process with its own secrets, and no store that can be reached."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from app.observability.probes import LIVE_PATH
from app.settings import Settings
from app.settings.production import Process, refuse_weak_settings
from tests.deploy.compose import COMPOSE, PUBLIC_URL, Unset, load, printed_env
from tests.deploy.environment import setting_names
from tests.deploy.manifests import named, pod_of, render
from tests.deploy.policy import PINNED

STORES = ("postgres", "valkey")
ONCE = ("bootstrap", "migrate")
PROCESSES = ("api", "relay", "worker", "smtp")
COMMAND_LINE = {"TOCSIN_SUPERUSER_DSN"}

Service = dict[str, Any]


def violations(document: dict[str, Any]) -> list[str]:
    """This will return every breach of what a service must keep to."""
    return [f"{name} {breach}" for name, service in document["services"].items() for breach in breaches(name, service)]


def breaches(name: str, service: Service) -> list[str]:
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    published = [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
    checks = {
        "runs an image that is not pinned": PINNED.fullmatch(service["image"])
        and not service["image"].endswith(":latest"),
        "can write to its root file system": service.get("read_only") is True,
        "keeps capabilities": service.get("cap_drop") == ["ALL"]
        and service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else []),
        "may gain privileges": service.get("security_opt") == ["no-new-privileges:true"]
        and "privileged" not in service,
        "has no limits": {"cpus", "memory"} <= set(limits) and "pids_limit" in service,
        "is not checked": name in ONCE or "test" in service.get("healthcheck", {}),
        "is not started again": name in ONCE or service.get("restart") == "unless-stopped",
        "does not say how long its end may take": name in ONCE or "stop_grace_period" in service,
        "publishes a port": not published or name == "proxy",
        "logs without end": "max-size" in service.get("logging", {}).get("options", {}),
        "mounts the host": not any(volume.startswith((".", "/", "~")) for volume in service.get("volumes", [])),
    }
    return [breach for breach, kept in checks.items() if not kept]


@pytest.fixture
def document() -> dict[str, Any]:
    return copy.deepcopy(load())


def test_it_is_valid_by_the_compose_specification(document: dict[str, Any]) -> None:
    parsed = PyCompose.from_yaml(yaml.safe_dump(document))
    assert sorted(parsed.service_names()) == sorted((*STORES, *ONCE, *PROCESSES, "proxy"))
    document["services"]["api"]["helthcheck"] = {}
    with pytest.raises(ValueError, match="helthcheck"):
        PyCompose.from_yaml(yaml.safe_dump(document))


def test_it_keeps_every_rule(document: dict[str, Any]) -> None:
    assert violations(document) == []


WEAKENED: dict[str, tuple[Callable[[dict[str, Service]], Any], str]] = {
    "latest": (lambda s: s["api"].update(image="tocsin:latest"), "api runs an image"),
    "writable": (lambda s: s["worker"].pop("read_only"), "worker can write"),
    "capability": (lambda s: s["relay"].update(cap_add=["NET_ADMIN"]), "relay keeps capabilities"),
    "privileged": (lambda s: s["api"].update(privileged=True), "api may gain"),
    "no limit": (lambda s: s["api"]["deploy"]["resources"]["limits"].pop("memory"), "api has no limits"),
    "unchecked": (lambda s: s["relay"].pop("healthcheck"), "relay is not checked"),
    "not restarted": (lambda s: s["worker"].pop("restart"), "worker is not started again"),
    "no grace": (lambda s: s["worker"].pop("stop_grace_period"), "worker does not say"),
    "open store": (lambda s: s["postgres"].update(ports=["5432:5432"]), "postgres publishes"),
    "open mail": (lambda s: s["smtp"].update(ports=["2525:2525"]), "smtp publishes"),
    "open api": (lambda s: s["api"].update(ports=["8080:8080"]), "api publishes"),
    "endless log": (lambda s: s["api"].pop("logging"), "api logs without end"),
    "socket": (lambda s: s["worker"].update(volumes=["/var/run/docker.sock:/s"]), "worker mounts the host"),
}


@pytest.mark.parametrize("name", WEAKENED)
def test_a_weakened_service_is_noticed(document: dict[str, Any], name: str) -> None:
    weaken, said = WEAKENED[name]
    weaken(document["services"])
    assert any(breach.startswith(said) for breach in violations(document))


def test_the_stores_are_on_a_network_that_leads_nowhere(document: dict[str, Any]) -> None:
    assert document["networks"]["stores"] == {"internal": True}
    networks = {name: set(service["networks"]) for name, service in document["services"].items()}
    assert networks == {
        **{name: {"stores"} for name in (*STORES, *ONCE, "relay")},
        "api": {"stores", "front"},
        "worker": {"stores", "world"},
        "smtp": {"stores", "front"},
        "proxy": {"front", "world"},
    }


@pytest.mark.parametrize("name", PROCESSES)
def test_each_process_starts_in_production(
    document: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = document["services"][name]["environment"]
    for variable in [variable for variable in os.environ if variable.startswith("TOCSIN_")]:
        monkeypatch.delenv(variable)
    for variable, value in given.items():
        if value is None:  # passed on from .env, which has none
            continue
        monkeypatch.setenv(variable, value)
    settings = Settings(_env_file=None)
    assert settings.environment == "production"
    assert settings.enhancement.llm.base_url is None
    refuse_weak_settings(settings, process=Process(name))


def test_every_variable_is_a_setting_and_every_one_of_the_env_file_is_used(document: dict[str, Any]) -> None:
    known = setting_names() | COMMAND_LINE
    for name in (*ONCE, *PROCESSES):
        assert set(document["services"][name]["environment"]) - known == set()
    text = (COMPOSE / "compose.yaml").read_text()
    assert [name for name in printed_env() if name not in text] == []
    assert str(document).count(PUBLIC_URL) == 3


@pytest.mark.parametrize("name", sorted(printed_env()))
def test_nothing_starts_without_its_secrets(name: str) -> None:
    with pytest.raises(Unset, match=name):
        load({other: value for other, value in printed_env().items() if other != name})


def test_a_service_sees_only_the_secrets_that_it_uses(document: dict[str, Any]) -> None:
    secrets = {
        name.removeprefix("TOCSIN_").removesuffix("_PASSWORD"): value
        for name, value in printed_env().items()
        if name != "TOCSIN_PUBLIC_URL"
    }
    seen = {
        name: {secret for secret, value in secrets.items() if value in str(service)}
        for name, service in document["services"].items()
    }
    stores = {"APP", "SYSTEM", "BROKER"}
    assert seen == {
        "postgres": {"SUPERUSER"},
        "valkey": {"BROKER"},
        "bootstrap": {"SUPERUSER", "OWNER", "APP", "SYSTEM"},
        "migrate": {"OWNER"},
        "api": stores | {"ENCRYPTION_KEYS", "TOKEN_PEPPER"},
        "relay": stores,
        "worker": stores | {"ENCRYPTION_KEYS"},
        "smtp": stores | {"ENCRYPTION_KEYS"},
        "proxy": set(),
    }
    # Compose refuses a secret that is not a file for a service with a read-only root file system (docker/compose#12031).
    assert "secrets" not in document


def test_they_start_in_the_order_that_they_need(document: dict[str, Any]) -> None:
    services = document["services"]
    assert services["bootstrap"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["migrate"]["depends_on"] == {"bootstrap": {"condition": "service_completed_successfully"}}
    for name in PROCESSES:
        assert services[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "valkey": {"condition": "service_healthy"},
        }


def test_the_commands_and_times_are_those_of_the_cluster(document: dict[str, Any]) -> None:
    objects, services = render("production"), document["services"]
    deployments = {
        "api": "tocsin-api",
        "relay": "tocsin-relay",
        "worker": "tocsin-worker-intake",
        "smtp": "tocsin-smtp",
    }
    for name, deployment in deployments.items():
        pod = pod_of(named(objects, "Deployment", deployment))
        assert services[name]["stop_grace_period"] == f"{pod['terminationGracePeriodSeconds']}s"
        if name != "api":  # the image's own command is the API
            assert services[name]["command"] == pod["containers"][0]["command"]
    job = pod_of(named(render("dev"), "Job", "tocsin-migrate"))
    assert services["bootstrap"]["command"] == job["initContainers"][0]["command"]
    assert services["migrate"]["command"] == job["containers"][0]["command"]


def test_the_checks_ask_what_is_served(document: dict[str, Any]) -> None:
    settings = Settings(_env_file=None)
    wanted = {
        "api": "http://127.0.0.1:8080/readyz",
        "relay": f"http://127.0.0.1:{settings.jobs.relay_metrics_port}{LIVE_PATH}",
        "worker": f"http://127.0.0.1:{settings.jobs.worker_metrics_port}{LIVE_PATH}",
        "smtp": f"http://127.0.0.1:{settings.smtp.metrics_port}{LIVE_PATH}",
    }
    for name, url in wanted.items():
        assert re.findall(r"http://[^']+", " ".join(document["services"][name]["healthcheck"]["test"])) == [url]
