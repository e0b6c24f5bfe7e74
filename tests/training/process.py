"""A training run on the tiny corpus in a process of its own: `python -m tests.training.process`.

Arguments: the folder, then JSON settings: `recipe` (changes to QUICK), `preset`, `pause` (seconds
to wait after each step, so that a signal can arrive between two), `exact`. Under torchrun, the
processes share the run. Prints the history as JSON.

`exact`: takes steps only, in float64 without dropout; prints their losses and each parameter's sum.
In float32, rounding alone grows tenfold with each step here. torch's own batch normalisation on a
CPU is off by 3e-4 with channels-last tensors, so one process uses the shared one too.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from earmark.model.config import ModelConfig
from earmark.training.data.dataset import TrainingBatch
from earmark.training.loop.device import DeviceSettings
from earmark.training.loop.distributed import (
    ProcessGroup,
    exit_process,
    join_process_group,
    share_batch_norm,
)
from earmark.training.loop.interrupts import RunInterrupted
from earmark.training.loop.trainer import Trainer
from earmark.training.recipe import Recipe
from tests.training.tiny import QUICK, tiny_corpus, tiny_model, tiny_teacher


class SlowTrainer(Trainer):
    """Waits after each step."""

    pause = 0.0

    def _train_step(self, batch: TrainingBatch, run_step: int) -> dict[str, Tensor]:
        losses = super()._train_step(batch, run_step)
        time.sleep(self.pause)
        return losses


def exact_steps(config: ModelConfig, recipe: Recipe, out: Path, processes: ProcessGroup) -> None:
    """Two epochs of steps; prints [losses, sums of parameters]."""
    corpus = tiny_corpus(config)
    if recipe.teacher_weight:
        corpus.teacher = tiny_teacher(config)
    if corpus.train.said is not None:
        for phrases in (corpus.train.said.tags, corpus.train.said.classes):
            phrases.vectors = phrases.vectors.astype(np.float64)
    torch.set_default_dtype(torch.float64)
    audio, tags = replace(config.audio, dropout=0.0), replace(config.tags, dropout=0.0)
    config = replace(config, audio=audio, tags=tags)
    device = DeviceSettings(processes=processes)
    trainer = Trainer(config, recipe, corpus, out, settings=device)
    if processes.size == 1:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        share_batch_norm(trainer.model, trainer.device)
    trainer.objective.train()
    losses = []
    for epoch in range(2):
        shard = (processes.rank, processes.size)
        for batch in trainer.corpus.train.batches(recipe, (0, epoch), shard=shard):
            all_tags = None if batch.all_tags is None else batch.all_tags.double()
            exact = replace(batch, words=batch.words.double(), all_tags=all_tags)
            losses.append(float(trainer._train_step(exact, 0)["loss"]))
    sums = {
        name: float(parameter.detach().sum())
        for name, parameter in trainer.model.named_parameters()
    }
    if processes.is_first:
        print(json.dumps([losses, sums]))


def train(
    config: ModelConfig, recipe: Recipe, out: Path, device: DeviceSettings, pause: float
) -> int:
    """A whole run; returns its exit status."""
    trainer = SlowTrainer(config, recipe, tiny_corpus(config), out, settings=device)
    trainer.pause = pause
    trainer.resume()
    print("begins", file=sys.stderr, flush=True)
    try:
        trainer.fit()
    except RunInterrupted as interruption:
        print(interruption, file=sys.stderr)
        return 130
    if device.processes.is_first:
        print(json.dumps(trainer.history))
    return 0


def main() -> int:
    out, settings = Path(sys.argv[1]), dict[str, Any](json.loads(sys.argv[2]))
    torch.set_num_threads(1)
    config = tiny_model(settings.get("preset", "first-starter"))
    recipe = replace(QUICK, **settings.get("recipe", {}))
    with join_process_group("cpu") as (processes, device):
        if settings.get("exact"):
            exact_steps(config, recipe, out, processes)
            status = 0
        else:
            device_settings = DeviceSettings(device, processes=processes)
            status = train(config, recipe, out, device_settings, settings.get("pause", 0.0))
    if processes.size > 1:
        exit_process(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
