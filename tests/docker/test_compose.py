"""The compose file: valid, hardened, bounded, pinned, and no secret where others can read it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from earmark.service.settings import Settings
from tests.index.made import ROOT

FOLDER = ROOT / "docker"
FILE = FOLDER / "compose.yaml"
PROFILES = {
    "cpu": {"service"},
    "gpu": {"service-gpu"},
    "training": {"training"},
    "cluster": {"proxy", "replica", "migrate", "milvus", "etcd", "minio"},
    "observe": {"prometheus", "grafana"},
}
OURS = {"service", "service-gpu", "training", "replica", "migrate"}
ONE_OFF = {"training", "migrate"}
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")
SECRET = re.compile(r"pass|secret|token|credential|access_?key|api_?key", re.IGNORECASE)

Spec = dict[str, Any]
COMPOSE: Spec = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Spec] = COMPOSE["services"]
each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def filled(text: str) -> str:
    """A value as it is where no variable is set."""
    return VARIABLE.sub(lambda found: found[2] or "", text)


def strings(value: object) -> Iterator[str]:
    """All strings within a part of the file."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
    elif value is not None:
        yield str(value)


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without choices of whoever runs the tests."""
    names = set(VARIABLE.findall(FILE.read_text()))
    chosen = {name for name, _ in names} | {"COMPOSE_FILE", "COMPOSE_PROFILES"}
    return {key: value for key, value in os.environ.items() if key not in chosen} | more


def test_each_profile_holds_what_it_should() -> None:
    held: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        [profile] = service["profiles"]
        held.setdefault(profile, set()).add(name)
    assert held == PROFILES


def test_it_is_valid_by_the_compose_specification() -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    command = [check, "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def client() -> tuple[list[str], str]:
    """A compose client, and the file as it can read it: that of Debian 12, from 2021, knows no
    `name`."""
    text = FILE.read_text()
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        asked = [*command, "version", "--short"]
        version = subprocess.run(asked, capture_output=True, text=True, check=False)
        if version.returncode == 0:
            old = version.stdout.startswith("1.")
            return command, text.replace("\nname: earmark\n", "\n") if old else text
    pytest.skip("no compose client is installed")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_compose_client_takes_it(profile: str) -> None:
    command, text = client()
    options = ["--project-directory", str(FOLDER), "-f", "-", "--profile", profile, "config"]
    done = subprocess.run(
        [*command, *options],
        input=text, capture_output=True, text=True, check=False, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    assert set(read) >= PROFILES[profile]
    for name in PROFILES[profile]:
        assert read[name]["image"] == filled(SERVICES[name]["image"])
        assert read[name]["read_only"] is True


@each_service
def test_every_container_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert any(each.startswith("/tmp:size=") for each in service["tmpfs"])
    assert not service.keys() & {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"}
    assert "docker.sock" not in " ".join(strings(service.get("volumes")))
    if name in OURS:
        assert service["user"] == "10001:10001"


@each_service
def test_every_container_is_bounded(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert float(filled(limits["cpus"])) > 0
    assert re.fullmatch(r"\d+[mg]", filled(limits["memory"]))
    assert service["pids_limit"] > 0
    assert service["logging"]["driver"] == "json-file"
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@each_service
def test_every_container_restarts_as_it_should_and_tells_its_health(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_OFF:
        assert service["restart"] in {"no", "on-failure:5"}
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
    for other, wanted in service.get("depends_on", {}).items():
        assert SERVICES[other]["profiles"] == service["profiles"]
        ended = wanted["condition"] == "service_completed_successfully"
        assert ended == (other in ONE_OFF)


@each_service
def test_every_image_is_pinned_and_can_be_replaced(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[^}]+\}", image)
    tag = filled(image).rpartition(":")[2]
    assert re.search(r"\d+\.\d+\.\d+|RELEASE\.\d{4}", tag), image
    if name in OURS:
        assert tag == "0.1.0"


@each_service
def test_only_loopback_is_published(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"\$\{[A-Z]+_PUBLISH:-127\.0\.0\.1:\d+\}:\d+", port)


@each_service
def test_no_secret_is_in_an_environment_or_a_command(name: str) -> None:
    service = SERVICES[name]
    for key, value in service.get("environment", {}).items():
        if SECRET.search(key):
            assert key.endswith("_FILE")
            assert value.startswith("/run/secrets/")
    written = " ".join(strings([service.get("command"), service.get("healthcheck")]))
    assert not SECRET.search(written)


def test_only_who_needs_a_secret_sees_it() -> None:
    seen = {
        name: {each if isinstance(each, str) else each["source"] for each in service["secrets"]}
        for name, service in SERVICES.items()
        if "secrets" in service
    }
    assert seen == {
        "replica": {"milvus_token"},
        "migrate": {"milvus_token"},
        "milvus": {"milvus_config"},
        "minio": {"minio_user", "minio_password"},
        "prometheus": {"metrics_key"},
        "grafana": {"grafana_password"},
    }
    for name in ("replica", "minio", "grafana"):
        files = {value for key, value in SERVICES[name]["environment"].items() if "_FILE" in key}
        assert files == {f"/run/secrets/{each}" for each in seen[name]}


def test_what_is_handed_to_the_service_are_settings_of_it() -> None:
    known = {f"EARMARK_{name.upper()}" for name in Settings.model_fields}
    for name in OURS - {"training"}:
        handed = SERVICES[name].get("environment", {}).keys()
        assert handed - {"EARMARK_MILVUS_TOKEN_FILE"} <= known


def test_the_store_cannot_be_reached_from_outside() -> None:
    assert COMPOSE["networks"]["back"]["internal"] is True
    for name in ("milvus", "etcd", "minio", "migrate"):
        assert SERVICES[name]["networks"] == ["back"]
        assert "ports" not in SERVICES[name]


def test_mounted_files_are_there_and_read_only() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source, _, rest = filled(volume).partition(":")
            if source.startswith("./"):
                assert (FOLDER / source).exists(), f"{name}: {volume}"
                assert rest.endswith(":ro")
            else:
                assert source in COMPOSE["volumes"]


def test_the_example_of_choices_names_all_and_their_defaults() -> None:
    text = FILE.read_text()
    used = {name for name, _ in VARIABLE.findall(text)}
    used |= {key for key, value in COMPOSE["x-settings"].items() if value is None}
    example = (FOLDER / ".env.example").read_text()
    named = dict(re.findall(r"^#([A-Z_]+)=(\S+)$", example, re.MULTILINE))
    assert named.keys() == used
    for name, default in VARIABLE.findall(text):
        if "IMAGE" in name or "CPUS" in name or "MEMORY" in name or "PUBLISH" in name:
            assert named[name] == default


def test_secrets_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = subprocess.run(
        [FOLDER / "make-secrets", folder], capture_output=True, text=True, check=True
    )
    files = {file.name: file.read_text() for file in folder.iterdir()}
    assert files.keys() == COMPOSE["secrets"].keys()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for value in (files["minio_password"], files["grafana_password"], files["milvus_token"]):
        assert value not in made.stdout
        assert len(value) >= 48
    config = yaml.safe_load(files["milvus_config"])
    assert config["minio"] == {
        "accessKeyID": files["minio_user"],
        "secretAccessKey": files["minio_password"],
    }
    security = config["common"]["security"]
    assert security["authorizationEnabled"] is True
    assert files["milvus_token"] == f"root:{security['defaultRootPassword']}"

    (folder / "grafana_password").unlink()
    again = subprocess.run(
        [FOLDER / "make-secrets", folder], capture_output=True, text=True, check=True
    )
    assert again.stdout.count("kept") == len(files) - 1
    kept = {file.name: file.read_text() for file in folder.iterdir()}
    assert kept.pop("grafana_password") != files.pop("grafana_password")
    assert kept == files


def test_secrets_and_choices_do_not_get_into_the_repository() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no git repository")
    paths = ["docker/secrets/milvus_token", "docker/.env"]
    done = subprocess.run(
        ["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == paths
