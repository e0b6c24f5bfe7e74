"""A training run on the tiny corpus in a process of its own: `python -m tests.training.process`.

Arguments: the folder, then JSON settings: `recipe` (changes to QUICK), `preset`, `pause` (seconds
waited after each step, so that a test can hit between two), `exact`. Under torchrun, the
processes share the run. Prints the final history as JSON.

`exact`: only the steps, in float64 without dropout; prints their losses and each parameter's
sum. In float32, rounding alone grows tenfold a step here. torch's own batch normalisation on a
CPU is off by 3e-4 with channels-last tensors, so one process takes statistics as several do.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from earmark.model.config import ModelConfig
from earmark.training.data.dataset import Batch
from earmark.training.loop.device import Execution
from earmark.training.loop.distributed import Ranks, joined, leave, share_statistics
from earmark.training.loop.interrupts import Stopped
from earmark.training.loop.trainer import Trainer
from earmark.training.recipe import Recipe
from tests.training.tiny import QUICK, tiny_corpus, tiny_model


class Slow(Trainer):
    """Waits after each step."""

    pause = 0.0

    def _train_step(self, batch: Batch, number: int) -> dict[str, Tensor]:
        losses = super()._train_step(batch, number)
        time.sleep(self.pause)
        return losses


def exact_steps(config: ModelConfig, recipe: Recipe, out: Path, ranks: Ranks) -> None:
    """Two epochs of steps; prints [losses, sums of parameters]."""
    torch.set_default_dtype(torch.float64)
    audio, tags = replace(config.audio, dropout=0.0), replace(config.tags, dropout=0.0)
    config = replace(config, audio=audio, tags=tags)
    run = Trainer(config, recipe, tiny_corpus(config), out, execution=Execution(ranks=ranks))
    if ranks.count == 1:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        share_statistics(run.model, run.device)
    run.objective.train()
    losses = []
    for epoch in range(2):
        batches = run.corpus.train.epoch(recipe, (0, epoch), part=(ranks.own, ranks.count))
        for batch in batches:
            every = None if batch.every is None else batch.every.double()
            own = run._train_step(replace(batch, words=batch.words.double(), every=every), 0)
            losses.append(float(own["loss"]))
    sums = {name: float(each.detach().sum()) for name, each in run.model.named_parameters()}
    if ranks.first:
        print(json.dumps([losses, sums]))


def train(
    config: ModelConfig, recipe: Recipe, out: Path, execution: Execution, settings: dict[str, Any]
) -> int:
    """A whole run; its exit status."""
    run = Slow(config, recipe, tiny_corpus(config), out, execution=execution)
    run.pause = settings.get("pause", 0.0)
    run.resume()
    print("begins", file=sys.stderr, flush=True)
    try:
        run.fit()
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    if execution.ranks.first:
        print(json.dumps(run.history))
    return 0


def main() -> int:
    out, settings = Path(sys.argv[1]), dict[str, Any](json.loads(sys.argv[2]))
    torch.set_num_threads(1)
    config = tiny_model(settings.get("preset", "starter"))
    recipe = replace(QUICK, **settings.get("recipe", {}))
    with joined("cpu") as (ranks, device):
        if settings.get("exact"):
            exact_steps(config, recipe, out, ranks)
            status = 0
        else:
            status = train(config, recipe, out, Execution(device, ranks=ranks), settings)
    if ranks.count > 1:
        leave(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
