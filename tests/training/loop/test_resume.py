"""A run in a process of its own, killed or asked to stop, goes on as if nothing had happened."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.model.checkpoint import load
from earmark.training.loop import resume_state, trainer
from tests.conftest import ROOT
from tests.training.loop.test_distributed import ENVIRONMENT, RUN, printed

SETTINGS = {"recipe": {"epochs": 8, "schedule": "cosine", "warmup_epochs": 1}}
SLOW = {**SETTINGS, "pause": 0.25}  # 24 steps: six seconds


def started(out: Path, **settings: Any) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", RUN, str(out), json.dumps(settings)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    """The history of a run that nothing interrupts."""
    history: list[dict[str, float]] = printed(
        started(tmp_path_factory.mktemp("straight"), **SETTINGS)
    )
    return history


def assert_equal(one: list[dict[str, float]], other: list[dict[str, float]]) -> None:
    for first, second in zip(one, other, strict=True):
        assert {**second, "seconds": 0} == pytest.approx({**first, "seconds": 0}, abs=1e-5)


def hit(out: Path, number: signal.Signals, after: float) -> tuple[int, str]:
    """Send a signal so many seconds after training has begun; (exit status, standard error)."""
    process = started(out, **SLOW)
    assert process.stderr is not None
    line = process.stderr.readline()  # "begins": all that was imported is there
    assert "begins" in line, line
    time.sleep(after)
    process.send_signal(number)
    errors: str = process.communicate(timeout=60)[1]
    return process.returncode, errors


@pytest.mark.slow
def test_killed_at_random_steps(tmp_path: Path, straight: list[dict[str, float]]) -> None:
    """Twice; nothing is asked of the process before it dies."""
    generator = np.random.default_rng()
    for _ in range(2):
        after = float(generator.uniform(0, 2.5))
        status, errors = hit(tmp_path, signal.SIGKILL, after)
        assert status == -signal.SIGKILL, (after, errors)
    assert_equal(straight, printed(started(tmp_path, **SETTINGS)))


@pytest.mark.slow
def test_asked_to_stop(tmp_path: Path, straight: list[dict[str, float]]) -> None:
    """By either signal it ends its step, saves, says where it stands, and loses nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        status, errors = hit(tmp_path, number, 1.6)
        assert status == 130, number
        line = re.search(r"stopped in epoch (\d) after step [012]", errors)
        assert line is not None, errors
        assert not list(tmp_path.glob(".*.tmp"))
        assert (tmp_path / resume_state.FILE_NAME).exists()
        assert load(tmp_path / "last").card["epochs"] == int(line[1]) - 1
    history = printed(started(tmp_path, **SETTINGS))
    assert_equal(straight, history)
    lines = [json.loads(line) for line in (tmp_path / trainer.LOG).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 9))


@pytest.mark.slow
def test_a_stopped_run_saves_inside_an_epoch(tmp_path: Path) -> None:
    """Before its first epoch has ended."""
    status, errors = hit(tmp_path, signal.SIGINT, 0.3)
    assert (status, "stopped in epoch 1 after step" in errors) == (130, True)
    assert not (tmp_path / "last").exists()
    assert (tmp_path / resume_state.FILE_NAME).exists()
    result = subprocess.run(["ls", "-A", str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [resume_state.FILE_NAME]
