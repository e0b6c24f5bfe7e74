"""Several processes on one batch give what one process gives: two real ones, over gloo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earmark.model.checkpoint import load
from earmark.model.core.errors import ConfigError
from earmark.training.loop import resume_state
from earmark.training.loop.device import DeviceSettings
from earmark.training.loop.distributed import ProcessGroup, join_process_group
from earmark.training.loop.trainer import Trainer
from tests import prepared
from tests.conftest import ROOT
from tests.service.server_process import free_port
from tests.training.tiny import QUICK, tiny_corpus, tiny_model

RUN = "tests.training.process"
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", RUN)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def started(out: Path, **settings: Any) -> subprocess.Popen[str]:
    """Two processes of a run, started by torchrun."""
    return subprocess.Popen(
        [sys.executable, *TWO, str(out), json.dumps(settings)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> Any:
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return json.loads(out.strip().splitlines()[-1])


def results(out: Path, count: int, settings: dict[str, Any]) -> Any:
    """What `count` processes of a run print, with the environment that torchrun gives them."""
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    logs, processes = [], []
    for rank in range(count):
        where = {"RANK": str(rank), "LOCAL_RANK": str(rank), **shared} if count > 1 else {}
        logs.append(out / f"log-{count}-{rank}")
        with logs[-1].open("wb") as log:
            arguments = (out, json.dumps(settings))
            processes.append(prepared.start(arguments, log, log, {**ENVIRONMENT, **where}, RUN))
    try:
        assert [process.wait(200) for process in processes] == [0] * count, logs[0].read_text()
    finally:
        for process in processes:
            process.kill()
    return json.loads(logs[0].read_text().strip().splitlines()[-1])


@pytest.mark.parametrize("preset", ["w2v-128-4h", "coala", "first-starter", "starter"])
@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path, preset: str) -> None:
    """With all that is drawn, and clips that are not each other's negatives."""
    weights = {
        "first-starter": {"tagwise_weight": 0.3},
        "starter": {  # with all that is said, and a teacher
            "tagwise_weight": 0.3,
            "teacher_weight": 1.0,
            "translated": 0.3,
            "paraphrased": 0.5,
        },
        "coala": {"audio_weight": 5.0, "tag_weight": 5.0},
    }
    recipe = {"exclude_same": True, **weights.get(preset, {"audio_weight": 5.0})}
    settings = {"exact": True, "preset": preset, "recipe": recipe}
    losses, sums = results(tmp_path, 1, settings)
    shared_losses, shared_sums = results(tmp_path, 2, settings)
    assert len(losses) == 6
    np.testing.assert_allclose(shared_losses, losses, rtol=1e-9)
    assert shared_sums == pytest.approx(sums, rel=1e-6, abs=1e-6)
    assert losses[-1] != losses[0]


@pytest.mark.slow
def test_a_shared_run_is_saved_once_and_resumed(tmp_path: Path) -> None:
    """Stopped inside an epoch, as a node about to be taken away is; the curve stays the same."""
    settings = {"recipe": {"epochs": 6}, "pause": 0.2}
    process = started(tmp_path, **settings)
    deadline = time.monotonic() + 100
    while not (tmp_path / resume_state.FILE_NAME).exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)  # torchrun passes it on to both
    process.communicate(timeout=100)
    assert process.returncode != 0
    settings["pause"] = 0.0
    again, straight = (started(folder, **settings) for folder in (tmp_path, tmp_path / "straight"))
    history, expected = printed(again), printed(straight)
    for one, other in zip(expected, history, strict=True):
        assert {**other, "seconds": 0} == pytest.approx({**one, "seconds": 0}, abs=1e-4)
    assert load(tmp_path / "last").card["history"] == history
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 7))


def test_a_batch_that_cannot_be_shared(tmp_path: Path) -> None:
    config = tiny_model()
    settings = DeviceSettings(processes=ProcessGroup(0, 3))
    with pytest.raises(ConfigError, match="batch: expected a multiple of the 3 processes, got 10"):
        Trainer(config, QUICK, tiny_corpus(config), tmp_path, settings=settings)


def test_without_torchrun_one_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_process_group("cuda:3") as (processes, device):
        assert (processes, device) == (ProcessGroup(0, 1), "cuda:3")
        processes.barrier()
        processes.check_equal("corpus", b"1")
        assert float(processes.sum(torch.tensor(2.0))) == 2
        with processes.first_before_others():
            assert processes.is_first


def test_under_torchrun_each_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(ConfigError, match="--device: expected cpu or cuda under torchrun, got cuda"),
        join_process_group("cuda:1"),
    ):
        pass
