"""Wheels and source distributions of this tree, and processes that see nothing else of it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

import httpx
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tests.index.made import environment
from tests.service.server_process import free_port, wait_until_ready

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LIBRARIES = Path(sysconfig.get_path("purelib"))
FOLDERS = ("index", "model", "service", "training")  # each is a package of `earmark`
# Name of a package → its folder, and so those of the folders in it.
PACKAGE_FOLDERS: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
TIMEOUT = 240  # seconds for one build or one short process


def installed_place(path: Path) -> PurePosixPath:
    """Where a file or folder of the tree lies in `earmark` once it is installed."""
    inside = PurePosixPath(path.relative_to(ROOT).as_posix())
    name, folder = max(
        (item for item in PACKAGE_FOLDERS.items() if inside.is_relative_to(item[1])),
        key=lambda item: len(item[1]),
    )
    return PurePosixPath(*name.split(".")[1:], inside.relative_to(folder))


def copy_tree(to: Path) -> Path:
    """Copy what a distribution is built from to a new folder: a build leaves files behind."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to / name)
    return to


def build_wheel(source: Path, to: Path) -> Path:
    """Build the wheel of a folder or of a source distribution, without any network."""
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", to, source)
    [wheel] = to.glob("*.whl")
    return wheel


def metadata_of(wheel: Path) -> Message:
    """A wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def install(to: Path, *wheels: Path) -> Path:
    """Install wheels, without what they require, into a new folder."""
    _pip("install", "--no-deps", "--target", to, *wheels)
    return to


def link_requirements(wheel: Path, to: Path) -> Path:
    """Links, in a new folder, to all that a wheel requires, and to nothing else."""
    waiting = [Requirement(line) for line in metadata_of(wheel).get_all("Requires-Dist", [])]
    done: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        unneeded = requirement.marker and not requirement.marker.evaluate({"extra": ""})
        if unneeded or canonicalize_name(requirement.name) in done:
            continue
        done.add(canonicalize_name(requirement.name))
        distribution = importlib.metadata.distribution(requirement.name)
        waiting += [Requirement(line) for line in distribution.requires or ()]
        for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            (to / name).symlink_to(Path(str(distribution.locate_file(name))))
    return to


def _pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    ran = subprocess.run(
        [*command, *map(str, arguments), "--no-index"],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def only(*folders: Path) -> dict[str, str]:
    """An environment in which Python imports from these folders alone, if it is run with `-S`.

    An editable install of the tree is found by a `.pth` file, which `-S` skips.
    """
    return environment(PYTHONPATH=os.pathsep.join(map(str, folders)))


def python(
    *arguments: object, folder: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, without the tree."""
    return subprocess.run(
        [sys.executable, "-S", *map(str, arguments)],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


@contextlib.contextmanager
def serving_installed(folder: Path, env: Mapping[str, str]) -> Iterator[httpx.Client]:
    """A client of `earmark serve` of the demo, run in a folder without the tree."""
    port, log = free_port(), folder / "log"
    command = ["-S", "-m", "earmark.service.cli.main", "serve", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=env, stdout=out, stderr=out
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_ready(process, client, log)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=60)
