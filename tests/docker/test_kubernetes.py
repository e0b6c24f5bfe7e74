"""The Kubernetes manifests: by the schemas, and by what the service and the images really are."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from earmark.service.app import create_app
from earmark.service.settings import Settings, read_settings
from earmark.training.cli.commands import add_commands
from earmark.training.cli.options import EXIT_STOPPED
from tests.conftest import ROOT

FOLDER = ROOT / "docker" / "kubernetes"
OVERLAYS = ("service", "service-gpu", "training")
KUBERNETES = ("1.29", "1.37")  # the oldest that knows all of it, and the newest
KUBECTL = shutil.which("kubectl")
NO_KUBECTL = "kubectl, which renders with kustomize, is not there"
KINDS_OF_KUSTOMIZE = ("Kustomization", "Component")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

Document = dict[str, Any]


def documents(folder: str) -> list[Document]:
    """What a folder's files hold, but for kustomize's own and patches."""
    kustomization = kustomization_of(folder)
    files = [name for name in kustomization["resources"] if name.endswith(".yaml")]
    return [
        document
        for name in files
        for document in yaml.safe_load_all((FOLDER / folder / name).read_text())
    ]


def kustomization_of(folder: str) -> Document:
    found: Document = yaml.safe_load((FOLDER / folder / "kustomization.yaml").read_text())
    return found


def of_kind(kind: str, given: list[Document]) -> Document:
    found = [document for document in given if document["kind"] == kind]
    assert len(found) == 1
    return found[0]


def pod_of(folder: str) -> Document:
    """The template of a folder's pods."""
    kind = "Job" if folder == "training" else "Deployment"
    template: Document = of_kind(kind, documents(folder))["spec"]["template"]
    return template


def container_of(folder: str) -> Document:
    containers = pod_of(folder)["spec"]["containers"]
    assert len(containers) == 1
    container: Document = containers[0]
    return container


def environment() -> dict[str, str]:
    """The environment of the service's container, by its manifests."""
    generated = kustomization_of("service")["configMapGenerator"][0]
    container = container_of("service")
    assert container["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    given = dict(each.split("=", 1) for each in generated["literals"])
    return {**given, **{each["name"]: each["value"] for each in container["env"]}}


def rendered(folder: Path) -> list[Document]:
    """What `kubectl kustomize` makes of a folder."""
    assert KUBECTL is not None
    made = subprocess.run([KUBECTL, "kustomize", folder], check=True, stdout=subprocess.PIPE)
    return list(yaml.safe_load_all(made.stdout))


def check(given: list[Document]) -> int:
    """Hold documents against the schemas, unknown fields refused; returns how many."""
    validator = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate, which brings the schemas, is not there"
    )
    for document in given:
        for version in KUBERNETES:
            validator.validate(document, version, strict=True)
    return len(given)


def test_every_file_is_named_by_its_kustomization() -> None:
    seen = 0
    for path in FOLDER.rglob("kustomization.yaml"):
        named = yaml.safe_load(path.read_text())
        assert named["kind"] in KINDS_OF_KUSTOMIZE
        patches = [each["path"] for each in named.get("patches", [])]
        files = {each for each in (*named["resources"], *patches) if each.endswith(".yaml")}
        assert files == {each.name for each in path.parent.glob("*.yaml")} - {path.name}
        seen += len(files)
    assert seen == len(list(FOLDER.rglob("*.yaml"))) - len(list(FOLDER.rglob("kust*.yaml")))


@pytest.mark.parametrize("folder", ["service", "training"])
def test_files_hold_to_the_schemas(folder: str) -> None:
    assert check(documents(folder)) >= 4


@pytest.mark.skipif(KUBECTL is None, reason=NO_KUBECTL)
@pytest.mark.parametrize("folder", OVERLAYS)
def test_what_is_rendered_holds_to_the_schemas(folder: str) -> None:
    assert check(rendered(FOLDER / folder)) >= 4


@pytest.mark.skipif(KUBECTL is None, reason=NO_KUBECTL)
def test_the_overlay_asks_for_a_gpu_and_changes_nothing_else() -> None:
    plain, gpu = (
        of_kind("Deployment", rendered(FOLDER / each)) for each in ("service", "service-gpu")
    )
    spec = gpu["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == f"earmark-service-gpu:{VERSION}"
    assert container["resources"]["limits"].pop("nvidia.com/gpu") == "1"
    for each in (plain, gpu):
        each["spec"]["template"]["spec"].pop("tolerations", None)
        container = each["spec"]["template"]["spec"]["containers"][0]
        container.pop("image")
        for limits in container["resources"].values():
            limits.pop("memory")
    assert gpu == plain


@pytest.mark.skipif(KUBECTL is None, reason=NO_KUBECTL)
def test_the_component_finds_the_pods(tmp_path: Path) -> None:
    overlay = {
        "resources": [os.path.relpath(FOLDER / "service", tmp_path)],
        "components": [os.path.relpath(FOLDER / "pod-monitor", tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    made = rendered(tmp_path)
    monitor, pods = of_kind("PodMonitor", made), of_kind("Deployment", made)["spec"]["template"]
    assert selects(monitor["spec"]["selector"], pods)
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {each["name"] for each in container_of("service")["ports"]}
    assert endpoint["path"] in routes()


def routes() -> set[str]:
    return set(create_app(Settings()).openapi()["paths"])


def selects(selector: Document, pods: Document) -> bool:
    wanted = selector["matchLabels"]
    assert wanted
    return bool(wanted.items() <= pods["metadata"]["labels"].items())


def test_what_selects_pods_selects_its_own_alone() -> None:
    for own, other in (("service", "training"), ("training", "service")):
        policy = of_kind("NetworkPolicy", documents(own))["spec"]
        assert selects(policy["podSelector"], pod_of(own))
        assert not selects(policy["podSelector"], pod_of(other))
        assert policy["policyTypes"] == ["Ingress", "Egress"]
    service = of_kind("Service", documents("service"))["spec"]
    assert selects({"matchLabels": service["selector"]}, pod_of("service"))
    assert not selects({"matchLabels": service["selector"]}, pod_of("training"))
    deployment = of_kind("Deployment", documents("service"))["spec"]
    assert selects(deployment["selector"], pod_of("service"))


@pytest.mark.parametrize("folder", ["service", "training"])
def test_pods_may_do_nothing_they_need_not(folder: str) -> None:
    pod, container = pod_of(folder)["spec"], container_of(folder)
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False  # else EARMARK_PORT is the Service's address
    user = (ROOT / "docker" / f"{folder}.Dockerfile").read_text()
    as_user = {f"runAs{what}": 10001 for what in ("User", "Group")}
    assert "\nUSER 10001:10001\n" in user
    assert (
        pod["securityContext"].items()
        >= {
            **as_user,
            "runAsNonRoot": True,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        }.items()
    )
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for resource in ("cpu", "memory", "ephemeral-storage"):
        assert set(container["resources"]) == {"requests", "limits"}
        assert all(resource in each for each in container["resources"].values())


def mounts(folder: str) -> Iterator[tuple[PurePosixPath, bool]]:
    """Where a container's volumes are, and whether they may be written to."""
    for each in container_of(folder)["volumeMounts"]:
        yield PurePosixPath(each["mountPath"]), not each.get("readOnly", False)


@pytest.mark.parametrize(
    ("folder", "written"),
    [("service", {"/library", "/tmp"}), ("training", {"/runs", "/tmp", "/dev/shm"})],
)
def test_volumes_are_those_that_are_mounted(folder: str, written: set[str]) -> None:
    volumes = {each["name"]: each for each in pod_of(folder)["spec"]["volumes"]}
    names = [each["name"] for each in container_of(folder)["volumeMounts"]]
    assert sorted(names) == sorted(volumes)
    assert {str(path) for path, may in mounts(folder) if may} == written
    made = {
        each["metadata"]["name"]
        for each in documents(folder)
        if each["kind"] == "PersistentVolumeClaim"
    }
    claims = {
        each["persistentVolumeClaim"]["claimName"]
        for each in volumes.values()
        if "persistentVolumeClaim" in each
    }
    assert claims == made


def test_probes_ask_what_is_answered() -> None:
    container = container_of("service")
    (port,) = container["ports"]
    assert port == {"name": "http", "containerPort": 8000}
    assert "EARMARK_PORT=8000" in (ROOT / "docker" / "service.Dockerfile").read_text()
    asked = {
        name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")
    }
    assert {each["port"] for each in asked.values()} == {port["name"]}
    paths = {name: each["path"] for name, each in asked.items()}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert {*paths.values()} <= routes()
    (service,) = of_kind("Service", documents("service"))["spec"]["ports"]
    assert service["targetPort"] == port["name"]
    noted = pod_of("service")["metadata"]["annotations"]
    assert noted["prometheus.io/port"] == str(port["containerPort"])
    assert noted["prometheus.io/path"] in routes()


def test_the_service_takes_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("EARMARK_"):
            monkeypatch.delenv(name)
    given = environment()
    for name, value in given.items():
        assert name.removeprefix("EARMARK_").lower() in Settings.model_fields
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.keys is not None
    assert settings.keys.name == "keys"  # as the command that makes the Secret calls it
    assert (PurePosixPath(settings.keys.parent), False) in set(mounts("service"))
    grace = pod_of("service")["spec"]["terminationGracePeriodSeconds"]
    assert settings.drain_seconds + settings.shutdown_seconds <= grace - 10
    probe = container_of("service")["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] <= settings.drain_seconds


def test_one_process_has_the_library() -> None:
    spec = of_kind("Deployment", documents("service"))["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    claim = of_kind("PersistentVolumeClaim", documents("service"))["spec"]
    assert claim["accessModes"] == ["ReadWriteOnce"]


def test_images_are_those_that_are_built() -> None:
    (changed,) = kustomization_of("service-gpu")["images"]
    plain = container_of("service")["image"]
    assert plain == f"{changed['name']}:{VERSION}"
    images = (
        plain,
        f"{changed['newName']}:{changed['newTag']}",
        container_of("training")["image"],
    )
    for image in images:
        name, _, version = image.partition(":")
        assert (ROOT / "docker" / f"{name.removeprefix('earmark-')}.Dockerfile").exists()
        assert version == VERSION


def test_training_is_told_what_it_understands() -> None:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(required=True))
    options = parser.parse_args(["train", *container_of("training")["args"]])
    assert options.resume
    places = dict(mounts("training"))
    [data] = options.data
    assert places[PurePosixPath(data.parent)] is False
    assert places[PurePosixPath(options.out.parent)] is True
    assert container_of("training")["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_training_outlives_what_is_no_fault_of_its_own() -> None:
    job, pod = of_kind("Job", documents("training"))["spec"], pod_of("training")["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] >= 60
    assert job["podReplacementPolicy"] == "Failed"
    disrupted, *others = job["podFailurePolicy"]["rules"]
    condition = {"type": "DisruptionTarget", "status": "True"}
    assert disrupted == {"action": "Ignore", "onPodConditions": [condition]}
    actions = {code: rule["action"] for rule in others for code in rule["onExitCodes"]["values"]}
    assert actions == {EXIT_STOPPED: "Ignore", 128 + signal.SIGTERM: "Ignore", 2: "FailJob"}
    names = {rule["onExitCodes"]["containerName"] for rule in others}
    assert names == {container_of("training")["name"]}
    (shm,) = (each["emptyDir"] for each in pod["volumes"] if each["name"] == "shm")
    assert shm == {"medium": "Memory", "sizeLimit": "8Gi"}
