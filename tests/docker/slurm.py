"""A Slurm cluster on this machine: a controller and two nodes, with their own ports.

The nodes have addresses of their own, and namespaces of names; which takes root. The first has this
machine's name. Without control groups (proctrack/linuxproc, task/none), and with files in place of
GPUs.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SBIN = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
DAEMONS = ("munged", "slurmctld", "slurmd")
MISSING = [each for each in (*DAEMONS, "sbatch", "srun") if shutil.which(each, path=SBIN) is None]
if not MISSING and os.geteuid() != 0:
    MISSING.append("root, to be two nodes")
# Name and hosts file of the node.
BE_NODE = 'set -e; hostname "$0"; mount --bind "$1" /etc/hosts; exec slurmd -D'

CONFIGURATION = """
ClusterName=here
SlurmctldHost={name}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={node}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
GresTypes=gpu
CommunicationParameters=NoInAddrAny
NodeName={name} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 Gres=gpu:2
NodeName=z{name} NodeAddr=127.0.0.2 CPUs=2 RealMemory=4000 Gres=gpu:1
PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=INFINITE
"""


@dataclass(frozen=True)
class Slurm:
    """A running cluster: `environment` is that of its commands, `first` the node that can run a
    job's script; on the other, Slurm takes the script's address for the first one's."""

    environment: dict[str, str]
    first: str

    def __call__(self, command: str, *arguments: object, **more: str) -> str:
        """What one of its commands prints; `more` is added to its environment."""
        done = subprocess.run(
            [command, *map(str, arguments)],
            env={**self.environment, **more},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=30,
        )
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """RUNNING, PENDING, COMPLETED, …"""
        return self.show(job)["JobState"]

    def show(self, job: str) -> dict[str, str]:
        """What Slurm says of a job, by field."""
        words = self("scontrol", "show", "job", "--oneliner", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait(self, job: str, *states: str, seconds: float = 100) -> str:
        """Until a job is in one of the states; returns it."""
        deadline = time.monotonic() + seconds
        while (state := self.state(job)) not in states:
            assert time.monotonic() < deadline, f"{state}, expected {states}"
            time.sleep(0.2)
        return state


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def running(command: list[object], log: Path, environment: dict[str, str]) -> Iterator[None]:
    """A daemon in the foreground, its messages in a file."""
    program = shutil.which(str(command[0]), path=SBIN)
    assert program is not None
    with (
        log.open("ab") as messages,
        subprocess.Popen(
            [program, *map(str, command[1:])],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def cluster(folder: Path) -> Iterator[Slurm]:
    """The cluster, with what it writes in a folder; ended with all its jobs."""
    name = socket.gethostname().partition(".")[0]
    key, configuration = folder / "munge.key", folder / "slurm.conf"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    (folder / "state").mkdir()
    configuration.write_text(
        CONFIGURATION.format(
            name=name,
            folder=folder,
            controller=free_port(),
            node=free_port(),
        )
    )
    files = {name: "/dev/null,/dev/zero", f"z{name}": "/dev/full"}
    gpus = (f"NodeName={node} Name=gpu File={file}\n" for node, file in files.items())
    (folder / "hosts").write_text(
        "127.0.0.1 localhost\n"
        + "".join(f"127.0.0.{n} {each}\n" for n, each in enumerate(files, 1))
    )
    (folder / "gres.conf").write_text("".join(gpus))
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\nCgroupPlugin=cgroup/v1\n")
    environment = {**os.environ, "PATH": SBIN, "SLURM_CONF": str(configuration)}
    munge = (f"--{each}={folder / f'munge.{each[:4]}'}" for each in ("pid-file", "log-file"))
    paths = (f"--socket={folder / 'munge.socket'}", f"--seed-file={folder / 'munge.seed'}")
    daemons = (
        ["munged", "--foreground", "--force", f"--key-file={key}", *paths, *munge],
        ["slurmctld", "-D", "-c", "-f", configuration],
        *(
            ["unshare", "--uts", "--mount", "sh", "-c", BE_NODE, node, folder / "hosts"]
            for node in files
        ),
    )
    with ExitStack() as stack:
        for daemon in daemons:
            log = folder / f"{daemon[0]}.log"
            stack.enter_context(running(daemon, log, environment))
        slurm = Slurm(environment, name)
        _wait_for_nodes(slurm, len(files))
        try:
            yield slurm
        finally:
            slurm("scancel", "--user=root")
            _wait_for_no_jobs(slurm)


def _wait_for_nodes(slurm: Slurm, count: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            states = slurm("sinfo", "--noheader", "--Node", "--format=%T").split()
        except subprocess.CalledProcessError:
            states = []
        if states == ["idle"] * count:
            return
        assert time.monotonic() < deadline, f"nodes: {states}"
        time.sleep(0.2)


def _wait_for_no_jobs(slurm: Slurm) -> None:
    deadline = time.monotonic() + 60
    while jobs := slurm("squeue", "--noheader"):
        assert time.monotonic() < deadline, jobs
        time.sleep(0.2)
