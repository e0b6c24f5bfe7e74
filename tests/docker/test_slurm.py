"""The Slurm script: by a Slurm of two nodes, and its decisions by stand-ins of Slurm's commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from earmark.training.cli.options import EXIT_STOPPED
from tests.conftest import ROOT
from tests.docker import slurm
from tests.training.tiny import write_corpus

SCRIPT = ROOT / "docker" / "slurm" / "train.sbatch"
BINARIES = (ROOT / "docker", Path(sys.executable).parent)
NEEDS_SLURM = pytest.mark.skipif(
    bool(slurm.MISSING) or "EARMARK_SLURM" not in os.environ,
    reason=f"Slurm is not there: {', '.join(slurm.MISSING)}"
    if slurm.MISSING
    else "EARMARK_SLURM=1 runs jobs on a Slurm of two nodes, for a minute",
)
EPOCHS = 15


def path_of(*folders: Path) -> str:
    return os.pathsep.join([*map(str, folders), os.environ["PATH"]])


def program(folder: Path, name: str, *lines: str) -> None:
    path = folder / name
    path.write_text("\n".join(("#!/bin/bash", *lines, "")))
    path.chmod(0o755)


def test_bash_can_read_it() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck", path=path_of(*BINARIES))
    if shellcheck is None:
        pytest.skip("shellcheck is not there")
    subprocess.run([shellcheck, SCRIPT], check=True)


class Alone:
    """The script with stand-ins of srun, scontrol, apptainer and the training, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.called = folder, folder / "called"
        program(folder, "srun", "while [[ $1 == --* ]]; do shift; done", 'SLURM_NODEID=0 exec "$@"')
        program(
            folder,
            "scontrol",
            'case "$1 $2" in',
            "  'show hostnames') echo first; echo second ;;",
            "  'show job') echo \"JobId=7 JobState=$STATE Restarts=0\" ;;",
            f'  *) echo "$*" >>{self.called} ;;',
            "esac",
        )
        program(
            folder,
            "earmark-train",
            f'echo "$EARMARK_NODES $EARMARK_NODE_RANK $EARMARK_RENDEZVOUS $*" >>{self.called}',
            '[ -z "$TOLD" ] || { kill -TERM "$PPID"; sleep 0.1; }',
            'exit "$ENDS"',
        )
        program(folder, "apptainer", f'printf "%s\\n" "$@" >>{self.called}')

    def __call__(self, ends: int, signalled: bool = False, **more: str) -> tuple[int, list[str]]:
        """The script's status, and what it called, one entry a line."""
        self.called.write_text("")
        given = {
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_JOB_NODELIST": "nodes[1-2]",
            "EARMARK_IMAGE": "",
            "STATE": "RUNNING",
            "ENDS": str(ends),
            "TOLD": "yes" if signalled else "",
            **more,
        }
        done = subprocess.run(
            ["bash", SCRIPT, "--preset", "starter"],
            env={**os.environ, "PATH": path_of(self.folder), **given},
            check=False,
            timeout=30,
        )
        return done.returncode, self.called.read_text().splitlines()


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path)


TRAINED = "2 0 first:15007 --preset starter --resume"
REQUEUED = "requeue 7"


@pytest.mark.parametrize("status", [0, 1, 2, 137])
def test_what_ends_by_itself_is_not_requeued(alone: Alone, status: int) -> None:
    assert alone(status) == (status, [TRAINED])


def test_what_was_stopped_is_requeued(alone: Alone) -> None:
    stopped = (EXIT_STOPPED, [TRAINED, REQUEUED])
    assert alone(EXIT_STOPPED) == stopped
    assert alone(1, signalled=True) == stopped  # as torchrun ends when it was told to
    assert alone(128 + signal.SIGTERM, signalled=True) == stopped
    assert alone(0, signalled=True) == (0, [TRAINED])  # it was done all the same


def test_what_was_cancelled_is_not_requeued(alone: Alone) -> None:
    for state in ("COMPLETING", "CANCELLED", "PENDING"):
        assert alone(EXIT_STOPPED, STATE=state) == (EXIT_STOPPED, [TRAINED])


def test_it_gives_up_after_many_restarts(alone: Alone) -> None:
    few = {"EARMARK_RESTARTS": "3", "SLURM_RESTART_COUNT": "2"}
    assert alone(EXIT_STOPPED, **few)[1] == [TRAINED, REQUEUED]
    assert alone(EXIT_STOPPED, **{**few, "SLURM_RESTART_COUNT": "3"})[1] == [TRAINED]


def test_the_container_is_given_what_it_needs(
    alone: Alone, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = {}
    for name in ("IMAGE", "DATA", "RUNS"):
        given[f"EARMARK_{name}"] = str(tmp_path / name.lower())
        assert alone(0, **{"EARMARK_IMAGE": "none.sif", **given}) == (2, [])
        assert "is not there" in capfd.readouterr().err
        (tmp_path / name.lower()).mkdir()
    status, called = alone(0, **given)
    assert status == 0
    binds = ["--bind", f"{tmp_path}/data:/data:ro", "--bind", f"{tmp_path}/runs:/runs"]
    train = [f"{tmp_path}/image", "earmark-train", "--preset", "starter", "--resume"]
    assert called == ["exec", "--no-home", *binds, "--nv", *train]
    assert alone(0, **given, EARMARK_DEVICE="cpu")[1] == ["exec", "--no-home", *binds, *train]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Slurm]:
    with slurm.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus of tiny sounds in `data`."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "data").mkdir()
    write_corpus(folder / "data", 30, 15)
    return folder


def submit(
    here: slurm.Slurm, work: Path, out: str, *, preset: str = "starter", nodes: int = 1
) -> str:
    """Submit a run on the corpus, without a container and on the CPU; returns the job."""
    few = ("--cpus-per-task=1", "--mem=1500", "--time=10", f"--chdir={work}")
    where = (f"--nodes={nodes}", f"--nodelist={here.first}")
    corpus = ("--data", work / "data" / "manifest.csv")
    short = ("--out", work / out, "--batch", 10, "--epochs", EPOCHS)
    return here(
        "sbatch",
        *("--parsable", *few, *where, SCRIPT, "--preset", preset, *corpus, *short),
        PATH=path_of(*BINARIES),
        EARMARK_IMAGE="",
        EARMARK_DEVICE="cpu",
        OMP_NUM_THREADS="1",
    )


def log_of(work: Path, job: str) -> str:
    return (work / f"earmark-train-{job}.log").read_text()


def history(run: Path) -> list[dict[str, float]]:
    """What a run wrote of each epoch."""
    log = run / "log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def wait_for_an_epoch(here: slurm.Slurm, job: str, run: Path) -> None:
    deadline = time.monotonic() + 100
    while not history(run):
        assert time.monotonic() < deadline
        assert here.state(job) in ("PENDING", "RUNNING")
        time.sleep(0.1)


@NEEDS_SLURM
@pytest.mark.slow
def test_stopped_it_goes_on_as_if_nothing_had_happened(here: slurm.Slurm, work: Path) -> None:
    """Stopped as by a time limit or a preemption: Slurm signals the steps alone."""
    straight, job = (submit(here, work, each) for each in ("straight", "stopped"))
    wait_for_an_epoch(here, job, work / "stopped")
    here("scancel", "--signal=TERM", job)
    here.wait(job, "COMPLETED")
    here.wait(straight, "COMPLETED")
    log = log_of(work, job)
    assert "--resume goes on" in log
    assert "train.sbatch: stopped and saved, requeued; this was run 1" in log
    assert "resuming after epoch" in log
    assert here.show(job)["Restarts"] == "1"
    expected, found = history(work / "straight"), history(work / "stopped")
    assert [each["epoch"] for each in expected] == list(range(1, EPOCHS + 1))
    for one, other in zip(expected, found, strict=True):
        assert {**other, "seconds": 0} == pytest.approx({**one, "seconds": 0}, abs=1e-3)


@NEEDS_SLURM
@pytest.mark.slow
def test_two_nodes_are_stopped_and_go_on(here: slurm.Slurm, work: Path) -> None:
    """torchrun ends with 1, and Slurm counts that as a failure unless the script knows better."""
    job = submit(here, work, "nodes", nodes=2)
    wait_for_an_epoch(here, job, work / "nodes")
    here("scancel", "--signal=TERM", job)
    here.wait(job, "COMPLETED")
    log = log_of(work, job)
    assert "this was run 1" in log
    assert "resuming after epoch" in log
    assert [each["epoch"] for each in history(work / "nodes")] == list(range(1, EPOCHS + 1))


@NEEDS_SLURM
@pytest.mark.slow
def test_cancelled_it_saves_and_stays_away(here: slurm.Slurm, work: Path) -> None:
    job = submit(here, work, "cancelled")
    wait_for_an_epoch(here, job, work / "cancelled")
    here("scancel", job)
    here.wait(job, "CANCELLED")
    time.sleep(1)  # the state changes before the script has ended
    log = log_of(work, job)
    assert "--resume goes on" in log
    assert "train.sbatch: stopped: cancelled, or Slurm requeues it" in log
    assert here.state(job) == "CANCELLED"


@NEEDS_SLURM
def test_a_failure_stays_one(here: slurm.Slurm, work: Path) -> None:
    job = submit(here, work, "failed", preset="nonsense")
    assert here.wait(job, "FAILED") == "FAILED"
    assert "preset: expected one of" in log_of(work, job)
    assert here.show(job)["Restarts"] == "0"
