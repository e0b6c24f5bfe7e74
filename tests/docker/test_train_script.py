"""docker/earmark-train, as the container of training begins: what it refuses, and what it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.index.made import ROOT
from tests.training.tiny import write_corpus

SCRIPT = ROOT / "docker" / "earmark-train"


def begun(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with this environment's commands."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EARMARK_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [SCRIPT, *map(str, arguments)],
        env={**kept, "PATH": path, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"EARMARK_DEVICE": "tpu"}, "EARMARK_DEVICE: expected cuda or cpu, got 'tpu'"),
        ({"EARMARK_PROCESSES": "many"}, "EARMARK_PROCESSES: expected a number from 1 on"),
        ({"EARMARK_PROCESSES": "0"}, "EARMARK_PROCESSES: expected a number from 1 on, got '0'"),
        ({"EARMARK_NODES": "-1"}, "EARMARK_NODES: expected a number from 1 on, got '-1'"),
        ({"EARMARK_NODES": "2"}, "EARMARK_RENDEZVOUS: expected HOST:PORT of the first machine"),
        ({"EARMARK_NODES": "2", "EARMARK_RENDEZVOUS": "a:1"}, "EARMARK_NODE_RANK"),
    ],
)
def test_what_cannot_be(environment: dict[str, str], says: str) -> None:
    done = begun("--preset", "starter", **{"EARMARK_DEVICE": "cpu", **environment})
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_without_arguments_it_tells_what_it_takes() -> None:
    done = begun()
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: earmark train" in done.stdout


@pytest.mark.slow
def test_two_processes_of_the_real_command(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path, 30, 15), tmp_path / "out"
    given = ("--preset", "w2v-128-mean", "--data", corpus, "--out", out, "--batch", 10)
    shared = {"EARMARK_DEVICE": "cpu", "EARMARK_PROCESSES": "2"}
    done = begun(*given, "--epochs", 1, "--resume", **shared)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"best model: {out}\n"
    lines = (out / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1]
