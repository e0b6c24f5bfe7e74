"""Images built by buildah, and run as a container engine would run them.

Not by an engine: namespaces of their own for processes and mounts, the root file system read-only,
the image's user without capabilities, its environment, entrypoint and health check. The network
is the host's, or none.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.index.made import ROOT

# Run as root in new namespaces: what is written in the end is one of the volumes.
MOUNTS = """
set -eu
root=$1; shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind /etc/hosts "$root/etc/hosts"
while [ "$1" != -- ]; do
  mount --bind "${1%:*}" "$root${1#*:}"
  shift
done
shift
if [ -e /sys/class/net/lo ]; then ip link set lo up 2>/dev/null || true; fi
exec setpriv --no-new-privs chroot --userspec=10001:10001 "$root" "$@"
"""


def buildah(*arguments: str) -> str:
    """What a command of buildah prints."""
    done = subprocess.run(["buildah", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def build(dockerfile: str, tag: str, script: str, **args: str) -> None:
    """Build an image on the bases that its Dockerfile names; with a `script` that makes stand-ins
    of them, on those."""
    path = ROOT / "docker" / dockerfile
    if script == "registry":
        given = [
            each for name, value in args.items() for each in ("--build-arg", f"{name}={value}")
        ]
        buildah("bud", "--format", "docker", *given, "-f", str(path), "-t", tag, str(ROOT))
        return
    for base in bases(path.read_text(encoding="utf-8")):
        name = f"docker.io/{base if '/' in base else f'library/{base}'}"
        known = ["buildah", "inspect", "--type", "image", name]
        if subprocess.run(known, capture_output=True, check=False).returncode != 0:
            subprocess.run([script, "base", base], check=True)
    pairs = [f"{name}={value}" for name, value in args.items()]
    subprocess.run([script, "build", str(path), str(ROOT), tag, *pairs], check=True)


def bases(dockerfile: str) -> list[str]:
    """The images that a Dockerfile builds on, as its arguments give them."""
    lines = [line.split(None, 1)[1] for line in dockerfile.splitlines() if line.startswith("ARG ")]
    return [line.partition("=")[2] for line in lines if "_IMAGE=" in line]


@dataclass(frozen=True)
class Running:
    """A container at work."""

    engine: subprocess.Popen[bytes]
    root: Path
    config: dict[str, Any]
    log: Path

    @property
    def first(self) -> psutil.Process:
        """Its process number one."""
        deadline = time.monotonic() + 10
        while not (children := psutil.Process(self.engine.pid).children()):
            assert time.monotonic() < deadline
            assert self.engine.poll() is None, self.log.read_text()
            time.sleep(0.02)
        return children[0]

    def stop(self, seconds: float) -> tuple[int, float]:
        """SIGTERM to process one; the exit status, and how long it took."""
        begun = time.monotonic()
        os.kill(self.first.pid, signal.SIGTERM)
        return self.engine.wait(timeout=seconds), time.monotonic() - begun

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in it, as `docker exec` runs one."""
        inside = ["nsenter", "--target", str(self.first.pid), "--mount", "--pid", "--net"]
        user = ["chroot", "--userspec=10001:10001", str(self.root)]
        given = ["env", "-i", *self.config["Env"], *command]
        return subprocess.run([*inside, *user, *given], check=False, capture_output=True, text=True)

    def healthy(self) -> bool:
        """Whether the image's own health check passes now."""
        how, *check = self.config["Healthcheck"]["Test"]
        assert how == "CMD"
        return self.run(*check).returncode == 0

    def wait_healthy(self, seconds: float = 120) -> float:
        """Until the health check passes; how long it took."""
        begun = time.monotonic()
        while not self.healthy():
            assert self.engine.poll() is None, self.log.read_text()
            assert time.monotonic() - begun < seconds, self.log.read_text()
            time.sleep(0.2)
        return time.monotonic() - begun


@contextlib.contextmanager
def container(
    tag: str,
    log: Path,
    *command: str,
    volumes: Mapping[Path, str],
    network: bool = True,
    **environment: object,
) -> Iterator[Running]:
    """A container of an image, with `command` for its own; killed in the end.

    `volumes`: folders here → where they are in it. They are given to its user.
    """
    name = buildah("from", "--pull-never", tag)
    try:
        root = Path(buildah("mount", name))
        (root / "etc/hosts").touch()
        for inside in volumes.values():
            (root / inside.lstrip("/")).mkdir(parents=True, exist_ok=True)
        config = json.loads(buildah("inspect", name))["Docker"]["config"]
        config["Env"] += [f"{key}={value}" for key, value in environment.items()]
        apart = ["--mount", "--pid", "--fork", *([] if network else ["--net"])]
        binds = [f"{here}:{inside}" for here, inside in volumes.items()]
        chosen = [*config["Entrypoint"], *(command or config["Cmd"])]
        inside = ["env", "-i", f"--chdir={config['WorkingDir']}", *config["Env"], *chosen]
        with log.open("ab") as out:
            engine = subprocess.Popen(
                ["unshare", *apart, "sh", "-c", MOUNTS, "sh", str(root), *binds, "--", *inside],
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Running(engine, root, config, log)
        finally:
            # The first process ends all others of its namespace; with the user it took, no
            # signal of a parent's death is left to it.
            with contextlib.suppress(psutil.NoSuchProcess):
                for first in psutil.Process(engine.pid).children():
                    first.kill()
            engine.kill()
            engine.wait()
    finally:
        buildah("rm", name)
