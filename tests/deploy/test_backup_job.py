"""The nightly backup and the way back, as they are shipped: the CronJob's command with the image's own client programs.

Only the machine is the test's: the programs come from the Dockerfile's step, the variables from the Secrets of the script.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from app.db.migrate import ROOT
from app.db.roles import ROLES
from app.embedded.postgres import packaged_binaries
from tests.deploy.cluster import Cluster
from tests.deploy.dockerfile import stages
from tests.deploy.environment import environment, printed_secrets
from tests.deploy.image import Image, identity
from tests.deploy.kustomize import Object, apply_operation
from tests.deploy.manifests import K8S, containers, named, of_kind, pod_of, render
from tests.deploy.policy import violations

OVERLAY = K8S / "overlays" / "production"
PROGRAMS = ("pg_dump", "pg_restore", "psql")
RULES = ROOT / "deploy" / "observability" / "prometheus" / "rules" / "storage.yaml"


def cron_job() -> Object:
    return named(render("production"), "CronJob", "tocsin-backup")


def restoring() -> dict[str, Any]:
    """The container of the Job that the guide makes of the CronJob to restore from."""
    job = {"spec": cron_job()["spec"]["jobTemplate"]["spec"]}
    for operation in yaml.safe_load((OVERLAY / "backup-restore.yaml").read_text()):
        apply_operation(job, operation)
    container: dict[str, Any] = job["spec"]["template"]["spec"]["containers"][0]
    return container


def test_it_runs_every_night_once_and_well_before_the_alert() -> None:
    spec = cron_job()["spec"]
    minute, hour, *days = spec["schedule"].split()
    assert minute.isdigit()
    assert hour.isdigit()
    assert days == ["*", "*", "*"]
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert 0 < job["backoffLimit"] < 6
    late = spec["startingDeadlineSeconds"] + job["activeDeadlineSeconds"]
    (alert,) = [line for line in RULES.read_text().splitlines() if "tocsin_backup_last_success" in line]
    assert 24 * 3600 + late <= int(alert.split(">")[1])


def test_it_is_of_the_release_that_the_processes_are_of() -> None:
    (container,) = containers(cron_job())
    (process,) = containers(named(render("production"), "Deployment", "tocsin-relay"))
    assert container["image"] == process["image"].replace("/tocsin:", "/tocsin-backup:")


def test_it_knows_two_roles_and_nothing_else() -> None:
    objects = render("production")
    (container,) = containers(cron_job())
    found = environment(objects, container)
    assert set(found) == {"TOCSIN_DATABASE__BACKUP_URL", "TOCSIN_DATABASE__SYSTEM_URL"}
    assert "://tocsin_backup:" in found["TOCSIN_DATABASE__BACKUP_URL"]
    for body in of_kind(objects, "Deployment"):
        assert "tocsin-backup" not in str(body)


def test_its_files_are_on_a_volume_that_its_user_may_write_to() -> None:
    objects, pod = render("production"), pod_of(cron_job())
    (container,) = pod["containers"]
    folder = container["args"][container["args"].index("--to") + 1]
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mounted[folder]]
    claim = named(objects, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    assert claim["metadata"]["namespace"] == cron_job()["metadata"]["namespace"]
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


@pytest.mark.parametrize(
    ("weaken", "said"),
    [
        (lambda pod: pod["securityContext"].update(runAsUser=0), "may run as root"),
        (lambda pod: pod["containers"][0].update(image="tocsin-backup"), "not pinned"),
        (lambda pod: pod.update(serviceAccountName="default"), "no ServiceAccount of its own"),
        (lambda pod: pod["containers"][0]["resources"].pop("limits"), "no memory in its limits"),
    ],
)
def test_a_weakened_job_is_noticed_as_any_other_workload_is(weaken: Callable[[dict[str, Any]], Any], said: str) -> None:
    objects = render("production")
    weaken(pod_of(named(objects, "CronJob", "tocsin-backup")))
    assert any(breach.startswith("CronJob") and said in breach for breach in violations(objects))


def test_the_script_makes_each_role_that_logs_in_a_password_of_its_own() -> None:
    urls = re.findall(r"postgresql\+asyncpg://(\w+):(\w+)@", str(printed_secrets()))
    assert {role for role, _ in urls} == {role for role, rights in ROLES.items() if rights.startswith("login")}
    assert len({password for _, password in urls}) == len(urls)


@pytest.fixture(scope="module")
def client(image: Image) -> Path:
    """The client programs as the Dockerfile takes them out of an image of PostgreSQL."""
    (step,) = next(stage for stage in stages() if stage[0].value.split()[-1] == "postgresql")[1:]
    folder = image.folder / "client"
    # The packaged server in the place of the image's.
    script = step.value.replace("/usr/lib/postgresql/$PG_MAJOR/bin", str(packaged_binaries()))
    done = subprocess.run(
        ["sh", "-c", script.replace("/opt/postgresql", str(folder))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_with_the_libraries_that_were_taken_along(client: Path, program: str) -> None:
    libraries = {path.name.split(".")[0] for path in (client / "lib").iterdir()}
    assert any(name.startswith("libpq") for name in libraries)
    assert libraries & {"libc", "libm", "libpthread", "libdl", "librt"} == set()
    started = subprocess.run([client / "bin" / program, "--version"], capture_output=True, text=True, check=False)
    assert "(PostgreSQL)" in started.stdout, started.stderr
    bare = subprocess.run([client / "programs" / program, "--version"], capture_output=True, text=True, check=False)
    assert "libpq" in bare.stderr, "the test shows nothing: the program finds its libraries without the script"


@pytest.fixture
def volume(image: Image, tmp_path: Path) -> Path:
    """What is mounted at /backups, open to the image's user by its group, as fsGroup makes it."""
    folder = image.folder / "backups"
    folder.mkdir()
    if group := identity(image.python).get("group"):
        os.chown(folder, -1, group)
    folder.chmod(0o2775)
    return folder


class Pod:
    """A container of the CronJob's pod."""

    def __init__(self, image: Image, cluster: Cluster, client: Path, volume: Path) -> None:
        self._image, self._cluster, self._client, self._volume = image, cluster, client, volume

    def run(self, container: dict[str, Any], command: list[str]) -> subprocess.CompletedProcess[str]:
        """This will run a command with the container's variables and the volume in its place."""
        there = [word.replace("/backups", str(self._volume)) for word in command]
        path = f"{self._client / 'bin'}:{self._image.venv / 'bin'}:/usr/bin:/bin"
        return self._image.run(there, self._cluster.variables(render("production"), container) | {"PATH": path})


def prepare(cluster: Cluster) -> None:
    """Roles with the Secrets' passwords, as an operator makes them once, and the schema."""
    migration = render("production/migrate")
    (container,) = containers(named(migration, "Job", "tocsin-migrate"))
    secrets = printed_secrets()
    given = {
        "TOCSIN_SUPERUSER_DSN": secrets["tocsin-superuser"]["dsn"],
        "TOCSIN_DATABASE__OWNER_URL": secrets["tocsin-migration"]["owner-url"],
        "TOCSIN_DATABASE__APP_URL": secrets["tocsin-database"]["app-url"],
        "TOCSIN_DATABASE__SYSTEM_URL": secrets["tocsin-database"]["system-url"],
        "TOCSIN_DATABASE__BACKUP_URL": secrets["tocsin-backup"]["backup-url"],
    }
    bootstrap = {"env": [{"name": name, "value": value} for name, value in given.items()]}
    cluster.finish(migration, bootstrap, ["tocsin", "db", "bootstrap", "--passwords-from-urls"])
    cluster.finish(migration, container)


def the_dump(volume: Path) -> tuple[Path, os.stat_result]:
    (dump,) = volume.glob("tocsin-*.dump")
    return dump, dump.stat()


async def ask(cluster: Cluster, question: str) -> Any:
    connection = await asyncpg.connect(cluster.postgresql.dsn_for("postgres", database="tocsin"))
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@pytest.mark.timeout(300)  # four processes of the image start one after the other
async def test_a_night_leaves_a_backup_and_says_so_and_the_guide_brings_it_back(
    image: Image, cluster: Cluster, client: Path, volume: Path
) -> None:
    prepare(cluster)
    pod, (nightly,) = Pod(image, cluster, client, volume), containers(cron_job())
    await ask(cluster, "insert into queue_pauses (queue) values ('remediation')")
    made = pod.run(nightly, [*nightly["command"], *nightly["args"]])
    assert made.returncode == 0, made.stderr
    dump, facts = the_dump(volume)
    assert facts.st_mode & 0o777 == 0o600
    assert await ask(cluster, "select size_bytes from backups") == facts.st_size
    await ask(cluster, "delete from queue_pauses")
    hands = restoring()
    assert hands["command"] == ["sleep", "infinity"]
    restored = pod.run(hands, ["tocsin", "restore", "--replace", "--yes", f"/backups/{dump.name}"])
    assert restored.returncode == 0, restored.stderr
    assert "every row is there" in restored.stdout
    assert await ask(cluster, "select queue from queue_pauses") == "remediation"
