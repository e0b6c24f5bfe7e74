"""Trains a preset on a prepared corpus: eq. (6) over epochs, validated, saved, resumable.

Files of a run's folder: `model.safetensors` (the best model by the recipe's choice, ready to
serve), `last/model.safetensors`, `training.safetensors` (to resume), `log.jsonl` (one line an
epoch).
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from earmark.model import checkpoint
from earmark.model.checkpoint import Checkpoint
from earmark.model.config import ModelConfig
from earmark.model.core.atomic_write import write_whole
from earmark.model.core.errors import ConfigError
from earmark.model.core.progress import Progress, progress
from earmark.model.embedder import Embedder
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.training.calibration.fit import fit_calibration, fit_one_curve
from earmark.training.calibration.validation_set import Evidence, of_training
from earmark.training.data.corpus import Corpus
from earmark.training.data.dataset import Batch
from earmark.training.errors import TrainingError
from earmark.training.loop import resume_state, validation
from earmark.training.loop.device import Execution
from earmark.training.loop.distributed import share_statistics
from earmark.training.loop.initialization import begin, fit_scaler
from earmark.training.loop.interrupts import Stopped, Wish, listening
from earmark.training.loop.objective import Objective
from earmark.training.loop.optimizer import optimizer, rate
from earmark.training.loop.tensorboard import Board
from earmark.training.recipe import Recipe

LOG = "log.jsonl"
READ_STEPS = 16  # steps between two looks at the loss, where each look waits for a device
SAVE_SECONDS = 600.0  # between two saves inside an epoch


class Trainer:
    """One run in one folder."""

    def __init__(
        self,
        config: ModelConfig,
        recipe: Recipe,
        corpus: Corpus,
        out: Path,
        *,
        seed: int = 0,
        execution: Execution | None = None,
        board: Board | None = None,
        start: Checkpoint | None = None,
    ) -> None:
        """`start`: a model of this configuration whose weights the run begins with.

        Raises TrainingError, ConfigError.
        """
        execution = execution or Execution()
        execution.check()
        self.config, self.recipe, self.corpus, self.out = config, recipe, corpus, out
        self.seed, self.ranks, self.board = seed, execution.ranks, board
        self.device = execution.place()
        for name, part in (("train", corpus.train), ("validation", corpus.validation)):
            if not len(part):
                raise TrainingError(
                    f"corpus: {name}: expected clips with sound and a known tag, got none"
                )
            part.to(self.device)
        self.batch_size = self._batch_size()
        # Shapes stay the same, so cuDNN may try which of its ways is fastest here.
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        torch.manual_seed(seed)
        self.model = DualEncoder(config)
        fit_scaler(self.model, corpus)
        self._start = None if start is None else start.fingerprint
        begun = begin(self.model, corpus, recipe, start, seed)
        self.model.to(self.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.ranks.count > 1:
            share_statistics(self.model, self.device)
        known = corpus.train.knowledge
        self.objective = Objective(
            self.model,
            recipe,
            mixed=execution.mixed,
            ranks=self.ranks,
            moments=None if known is None else known.moments(corpus.train.numbers),
            frozen=recipe.frozen if begun else 0,
        ).to(self.device)
        self._step_module = self._wrapped(execution)
        self.optimizer = optimizer(recipe, self.objective.parameters(), self.device)
        self.epoch = 0
        self.asked_to_stop = False
        self.best: float | None = None
        self.history: list[dict[str, float]] = []
        self._begin_epoch()

    def _batch_size(self) -> int:
        """The recipe's, or all clips there are. Raises ConfigError."""
        size, ranks = min(self.recipe.batch_size, len(self.corpus.train)), self.ranks.count
        if size < 2 * ranks:
            raise ConfigError(f"batch: expected at least 2 clips for each process, got {size}")
        if size % ranks:
            raise ConfigError(f"batch: expected a multiple of the {ranks} processes, got {size}")
        return size

    def _wrapped(self, execution: Execution) -> nn.Module:
        """The objective as a training step calls it: shared by processes, compiled."""
        wrapped: nn.Module = self.objective
        if self.ranks.count > 1:
            wrapped = DistributedDataParallel(
                wrapped, broadcast_buffers=False, find_unused_parameters=not self._all_learn()
            )
        if execution.compile:
            wrapped.compile()
        return wrapped

    def _all_learn(self) -> bool:
        """Whether every part of the model has a loss: a decoder without weight has none."""
        parts = (
            (self.model.audio_decoder, self.recipe.audio_weight),
            (self.model.tag_decoder, self.recipe.tag_weight),
        )
        return all(weight > 0 for part, weight in parts if part is not None)

    def _begin_epoch(self) -> None:
        self.step, self.seconds = 0, 0.0
        self.sums: dict[str, Tensor] = {}

    def _run_key(self) -> dict[str, Any]:
        """What must not change between a run and its resumption."""
        beginning = {"from": self._start, "teacher": self.corpus.card.get("teacher")}
        return {name: what for name, what in beginning.items() if what is not None} | {
            "config": self.config.to_dict(),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "mixed": self.objective.mixed,
            "clips": len(self.corpus.train),
            "corpus": self.corpus.digest().hex(),
        }

    def resume(self) -> bool:
        """Go on from the folder's last saved step; False when there is none.

        Raises ConfigError when the folder holds a run with other settings.
        """
        file = self.out / resume_state.FILE_NAME
        if not file.exists():
            return False
        header = resume_state.load_state(file, self.objective, self.optimizer, self._run_key())
        self.epoch, self.best, self.history = header["epoch"], header["best"], header["history"]
        self.step, self.seconds = header["step"], header["seconds"]
        self.sums = {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in header["sums"].items()
        }
        return True

    def fit(self) -> dict[str, float]:
        """Train to the recipe's last epoch; returns the last epoch's figures.

        Raises Stopped, with the run saved as it stood, when asked to stop by SIGINT or SIGTERM;
        asked when all was done, it only notes `asked_to_stop`.
        Killed, it loses what came after the last epoch or the last ten minutes.
        """
        epochs, steps = self.recipe.epochs, self.corpus.train.steps(self.batch_size)
        begun = self.epoch
        left = ((epochs - self.epoch) * steps - self.step) * self.batch_size
        quiet = not self.ranks.first
        with listening() as wish, progress("training", left, quiet=quiet) as shown:
            while self.epoch < epochs:
                figures = self._epoch(steps, shown, wish)
                self.epoch += 1
                self._begin_epoch()
                self.history.append(figures)
                if self.ranks.first:
                    figures |= validation.figures(
                        self.objective, self.embedder(), self.corpus, self.seed
                    )
                    self._save(figures)
                self.ranks.wait()
                shown.write(
                    f"epoch {self.epoch}/{epochs}  "
                    + "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
                )
            self.asked_to_stop = self._asked_to_stop(wish)  # too late to stop this run
        if self.ranks.first:
            self._calibrate()
        if self.board is not None and self.epoch > begun:
            embedder = self.embedder()
            self.board.tags(self.epoch, embedder.vocabulary, embedder.vocabulary_vectors)
        return self.history[-1]

    def _epoch(self, steps: int, shown: Progress, wish: Wish) -> dict[str, float]:
        """What is left of an epoch; its mean losses."""
        started = saved = time.monotonic()
        before = self.seconds
        self.objective.train()
        # A GPU is left to run ahead: reading a loss waits for it.
        rarely = 1 if self.device.type == "cpu" else READ_STEPS
        batches = self.corpus.train.epoch(
            self.recipe,
            (self.seed, self.epoch),
            first=self.step,
            part=(self.ranks.own, self.ranks.count),
        )
        for batch in batches:
            look = self.step % rarely == 0
            if look and self._asked_to_stop(wish):
                self._save_state()
                self.ranks.wait()
                raise Stopped(f"stopped in epoch {self.epoch + 1} after step {self.step}")
            losses = self._train_step(batch, self.epoch * steps + self.step)
            shown.step(self.batch_size, self._note(losses) if look else None)
            self.step += 1
            self.seconds = before + time.monotonic() - started
            if time.monotonic() - saved > SAVE_SECONDS:
                self._save_state()
                saved = time.monotonic()
        return self._means(steps)

    def _train_step(self, batch: Batch, number: int) -> dict[str, Tensor]:
        """One step of the optimiser, the run's `number`-th; the losses by name, detached."""
        steps = self.corpus.train.steps(self.batch_size)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.recipe, number, steps)
        draws = np.random.SeedSequence((self.seed, self.epoch, self.step, self.ranks.own))
        torch.manual_seed(int(draws.generate_state(1)[0]))
        losses: dict[str, Tensor] = self._step_module(batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        # Of all processes, so that each could save them.
        own = torch.stack([value.detach().double() for value in losses.values()])
        means = dict(zip(losses, self.ranks.total(own) / self.ranks.count, strict=True))
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in means.items()}
        return means

    def _note(self, losses: dict[str, Tensor]) -> str:
        """A step's losses for the bar. Raises TrainingError when they are no numbers."""
        values = {name: float(value) for name, value in losses.items()}
        if not math.isfinite(values["loss"]):
            raise TrainingError(f"loss: not finite in epoch {self.epoch + 1}, step {self.step}")
        return "  ".join(f"{name} {value:.3f}" for name, value in values.items())

    def _asked_to_stop(self, wish: Wish) -> bool:
        """Whether any process is: they stop at the same step."""
        if self.ranks.count == 1:
            return wish.there
        asked = torch.tensor(float(wish.there), device=self.device)
        return bool(self.ranks.total(asked) > 0)

    def _means(self, steps: int) -> dict[str, float]:
        """Mean losses of the epoch that ends."""
        means = {f"train_{name}": float(total) / steps for name, total in self.sums.items()}
        if not math.isfinite(means["train_loss"]):
            raise TrainingError(f"loss: not finite in epoch {self.epoch + 1}")
        return {**means, "seconds": self.seconds}

    def embedder(self) -> Embedder:
        """The model as it stands, in evaluation mode, embedding as it will once served."""
        return Embedder(self._checkpoint(), str(self.device))

    def _checkpoint(self) -> Checkpoint:
        card = {
            **self.corpus.card,
            "temperature": self.objective.temperature,
            "epochs": self.epoch,
            "history": self.history,
        }
        return Checkpoint(self.model, self.corpus.words, self.corpus.vocabulary, card)

    def _evidence(self, saved: Checkpoint) -> Evidence:
        """What a model's scores are calibrated on."""
        counts = self.corpus.train.tag_counts(saved.vocabulary)
        clips, tags = self.corpus.validation, self.corpus.validation_tags
        return of_training(saved, clips, tags, counts)

    def _calibrate(self) -> None:
        """Calibrate the best model tag by tag, which would take too long in every epoch."""
        best = checkpoint.load(self.out)
        if "thresholds" in best.card.get("calibration", {}):
            return  # done when the run ended before
        best.model.to(self.device)
        fit_calibration(best.card, self._evidence(best))
        checkpoint.replace_card(self.out, best.card)

    def _save(self, figures: dict[str, float]) -> None:
        """Best model where this epoch is it, then last model, then the state to resume."""
        value = figures.get("mAP@10") if self.recipe.select == "mAP@10" else None
        value = -figures["validation_loss"] if value is None else value
        if not math.isfinite(value):
            raise TrainingError(f"validation loss: not finite in epoch {self.epoch}")
        saved = self._checkpoint()
        if self.best is None or value > self.best:
            self.best = value
            fit_one_curve(saved.card, self._evidence(saved))  # until the run's end
            checkpoint.save(self.out, saved)
        checkpoint.save(self.out / "last", saved)
        lines = [
            json.dumps({"epoch": epoch, **row}) for epoch, row in enumerate(self.history, start=1)
        ]
        write_whole(self.out / LOG, [f"{line}\n".encode() for line in lines])
        self._save_state()  # last: an epoch that it does not know is done again
        if self.board is not None:
            self.board.scalars(self.epoch, figures)
            pictures = validation.reconstructions(self.objective, self.corpus)
            if pictures is not None:
                self.board.reconstructions(self.epoch, *pictures)

    def _save_state(self) -> None:
        """What a resumed run needs, as of the last step."""
        if not self.ranks.first:
            return
        header = {
            "run": self._run_key(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "sums": {name: float(total) for name, total in self.sums.items()},
            "best": self.best,
            "history": self.history,
        }
        resume_state.save_state(
            self.out / resume_state.FILE_NAME, self.objective, self.optimizer, header
        )
