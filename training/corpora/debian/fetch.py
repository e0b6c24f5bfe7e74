"""Fetches the .deb files of packages: by the machine's own apt, or from a folder.

The version is the pinned one, or any if allowed. A pinned version with another hash is an error,
and nothing of it is unpacked.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from earmark.training.corpora.debian.packages import Package
from earmark.training.errors import CorpusError, TrainingError

Fetch = Callable[[str, str, Path], Path]  # name, version ("" for any), folder → the .deb in it


@dataclass(frozen=True)
class Deb:
    """A package's file; `pinned`: its version and hash are those of packages.toml."""

    file: Path
    version: str
    sha256: str
    pinned: bool


class FetchError(TrainingError):
    """A package is not available."""


class VersionError(FetchError):
    """The requested version of a package is not available; `available` are others."""

    def __init__(self, name: str, version: str, available: list[str], hint: str = "") -> None:
        if available:
            hint = "; --any-version takes what is there"
        versions = " and ".join(available) or "none"
        super().__init__(f"{name}: version {version} is wanted, {versions} can be had{hint}")
        self.available = available


def get(package: Package, folder: Path, fetch: Fetch, *, any_version: bool) -> Deb:
    """The package's .deb in `folder`, fetched unless the pinned one is there.

    `any_version`: fall back to another version. Raises FetchError, CorpusError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{package.name}.deb"
    if target.exists() and sha256_of(target) == package.sha256:
        return Deb(target, package.version, package.sha256, pinned=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as fresh:
        try:
            file = fetch(package.name, package.version, Path(fresh))
        except VersionError as error:
            if not any_version or not error.available:
                raise
            file = fetch(package.name, "", Path(fresh))
        version, sha256 = version_of(file), sha256_of(file)
        pinned = version == package.version
        if pinned and sha256 != package.sha256:
            raise FetchError(
                f"{package.name}: version {version}: expected the SHA-256 {package.sha256}, "
                f"got {sha256}; nothing of it was unpacked"
            )
        file.replace(target)
    return Deb(target, version, sha256, pinned)


def by_apt(name: str, version: str, folder: Path) -> Path:
    """Download by apt. Raises VersionError, FetchError."""
    tool, cache = shutil.which("apt-get"), shutil.which("apt-cache")
    if tool is None or cache is None:
        raise FetchError("apt-get is not on this machine; --debs FOLDER takes .deb files from disk")
    lines = _run([cache, "madison", name], folder).stdout.splitlines()
    rows = [line.split("|") for line in lines if line.strip().endswith("Packages")]
    versions = list(dict.fromkeys(row[1].strip() for row in rows))  # the newest first
    if not versions or (version and version not in versions):
        hint = " (is this Debian, and was apt-get update run?)"
        raise VersionError(name, version or "any", versions, hint)
    # apt downloads as a user of its own, which must be able to write to the folder.
    folder.chmod(0o755)
    done = _run([tool, "download", "-q", f"{name}={version or versions[0]}"], folder)
    files = sorted(folder.glob("*.deb"))
    if done.returncode or len(files) != 1:
        reason = (done.stderr.strip().splitlines() or ["no file came"])[-1]
        raise FetchError(f"{name}: apt-get download failed: {reason}")
    return files[0]


def from_folder(debs: Path) -> Fetch:
    """A fetch that copies files NAME_VERSION_ARCH.deb from a folder."""

    def fetch(name: str, version: str, folder: Path) -> Path:
        files = {version_of(file): file for file in sorted(debs.glob(f"{name}_*.deb"))}
        if not files or (version and version not in files):
            raise VersionError(name, version or "any", list(files))
        file = files[version or max(files)]
        try:
            return Path(shutil.copy(file, folder))
        except OSError as error:
            raise FetchError(f"{file}: cannot be read ({error.strerror})") from error

    return fetch


def version_of(file: Path) -> str:
    """The version in a file name such as `x_1%3a2.0-1_all.deb`. Raises CorpusError."""
    parts = file.name.split("_")
    if len(parts) != 3:
        raise CorpusError(f"{file.name}: expected a name like NAME_VERSION_ARCHITECTURE.deb")
    return unquote(parts[1])


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (names and versions of packages.toml, no shell)
        command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
