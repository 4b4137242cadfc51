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
from tests.deploy.compose_rules import Service, refusals
from tests.deploy.dockerfile import stages
from tests.deploy.environment import setting_names
from tests.deploy.manifests import named, pod_of, render
from tests.deploy.policy import PINNED

STORES = ("postgres", "valkey")
BACKUPS = ("backup", "restore")
ONCE = ("bootstrap", "migrate", *BACKUPS)
PROCESSES = ("api", "relay", "worker", "smtp")
COMMAND_LINE = {"TOCSIN_SUPERUSER_DSN"}


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
        "has no limits": {"cpus", "memory", "pids"} <= set(limits),
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
    "endless processes": (lambda s: s["api"]["deploy"]["resources"]["limits"].pop("pids"), "api has no limits"),
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


def test_compose_loads_it(document: dict[str, Any]) -> None:
    assert refusals(document) == []


REFUSED: dict[str, tuple[Callable[[dict[str, Service]], Any], str]] = {
    "pids twice": (lambda s: s["api"].update(pids_limit=256), "api sets pids_limit beside deploy"),
    "processors twice": (lambda s: s["api"].update(cpus=1), "api sets cpus beside deploy"),
    "memory twice": (lambda s: s["api"].update(mem_limit="1g"), "api sets mem_limit beside deploy"),
    "no image": (lambda s: s["valkey"].pop("image"), "valkey has neither"),
    "both networks": (lambda s: s["api"].update(network_mode="host"), "api uses network_mode"),
    "unknown network": (lambda s: s["api"]["networks"].append("back"), "api is on the network back"),
    "bare check": (lambda s: s["api"]["healthcheck"].update(test=["curl", "x"]), "api is checked by 'curl'"),
    "no address": (lambda s: s["api"].update(ports=["localhost:8080:8080"]), "api publishes localhost"),
    "unknown volume": (lambda s: s["backup"].update(volumes=["dumps:/backups"]), "backup mounts the volume dumps"),
    "two at one place": (lambda s: s["backup"].update(volumes=["backups:/tmp/"]), "backup mounts /tmp twice"),
    "unknown service": (lambda s: s["api"]["depends_on"].update(redis={}), "api waits for redis"),
    "disabled service": (lambda s: s["api"]["depends_on"].update(proxy={}), "api waits for proxy"),
    "cycle": (lambda s: s["postgres"].update(depends_on={"migrate": {}}), "postgres -> migrate -> bootstrap ->"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_compose_refuses_is_noticed(document: dict[str, Any], name: str) -> None:
    change, said = REFUSED[name]
    change(document["services"])
    assert any(refusal.startswith(said) for refusal in refusals(document)), refusals(document)


def test_every_image_of_ours_is_a_target_of_the_dockerfile(document: dict[str, Any]) -> None:
    targets = {stage[0].value.split()[-1] for stage in stages()}
    built = {name: s["build"]["target"] for name, s in document["services"].items() if "build" in s}
    assert set(built.values()) <= targets
    assert {name for name, target in built.items() if target == "backup"} == set(BACKUPS)
    assert set(built) == {*ONCE, *PROCESSES}
    images = {name: document["services"][name]["image"] for name in built}
    assert {built[name] for name, image in images.items() if "backup" in image} == {"backup"}
    assert len(set(images.values())) == 2


def test_backups_are_made_and_restored_only_when_asked_for(document: dict[str, Any]) -> None:
    backup, restore = (document["services"][name] for name in BACKUPS)
    for service in (backup, restore):
        assert service["profiles"] == ["backup"]
        assert service["volumes"] == ["backups:/backups"]
        # Nothing else is started again for it, as `run` does with what a service depends on.
        assert service["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    job = pod_of(named(render("production"), "CronJob", "tocsin-backup"))["containers"][0]
    assert backup["command"] == [*job["command"], *job["args"]]
    assert set(backup["environment"]) == {entry["name"] for entry in job["env"]}


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
        "bootstrap": {"SUPERUSER", "OWNER", "APP", "SYSTEM", "BACKUP"},
        "migrate": {"OWNER"},
        "backup": {"BACKUP", "SYSTEM"},
        "restore": {"SUPERUSER", "OWNER", "BACKUP", "ENCRYPTION_KEYS"},
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
