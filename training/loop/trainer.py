"""Trains a preset on a prepared corpus: eq. (6) over epochs, validated, saved, resumable.

Files of a run's folder: `model.safetensors` (the best model by the recipe's choice, ready to
serve), `last/model.safetensors`, `training.safetensors` (to resume), `log.jsonl` (a line for each
epoch).
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from earmark.model import checkpoint
from earmark.model.background import Background
from earmark.model.checkpoint import Checkpoint
from earmark.model.config import ModelConfig
from earmark.model.core.atomic_write import write_whole
from earmark.model.core.errors import ConfigError
from earmark.model.core.progress import Progress, progress
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.networks.mobilenet import BLOCKS as MOBILENET_BLOCKS
from earmark.training.calibration.fit import fit_calibration, fit_platt_scaling
from earmark.training.calibration.relevance import fit_relevance
from earmark.training.calibration.validation_set import ValidationSet, run_validation_set
from earmark.training.data.corpus import Corpus
from earmark.training.data.dataset import TrainingBatch
from earmark.training.errors import TrainingError
from earmark.training.loop import resume_state
from earmark.training.loop.device import DeviceSettings
from earmark.training.loop.distributed import share_batch_norm
from earmark.training.loop.initialization import (
    fit_scaler,
    hear_clips,
    initialise_weights,
    rehearsal_of,
)
from earmark.training.loop.interrupts import RunInterrupted, StopRequest, catch_stop_signals
from earmark.training.loop.objective import Objective
from earmark.training.loop.optimizer import build_optimizer, learning_rate
from earmark.training.loop.tensorboard import TensorBoardWriter
from earmark.training.loop.validation import reconstructions, validation_metrics
from earmark.training.recipe import Recipe

LOG = "log.jsonl"
GPU_CHECK_STEPS = 16  # steps between two reads of the loss on a GPU, which wait for the device
BACKGROUND_CLIPS = 4_096  # of the training clips, at most
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
        settings: DeviceSettings | None = None,
        tensorboard: TensorBoardWriter | None = None,
        start: Checkpoint | None = None,
    ) -> None:
        """`start`: a model of the same configuration, whose weights the run starts from.

        Raises TrainingError, ConfigError.
        """
        settings = settings or DeviceSettings()
        settings.check()
        self.config, self.recipe, self.corpus, self.out = config, recipe, corpus, out
        self.seed, self.processes, self.tensorboard = seed, settings.processes, tensorboard
        self.device = settings.torch_device()
        for name, clips in (("train", corpus.train), ("validation", corpus.validation)):
            if not len(clips):
                raise TrainingError(
                    f"corpus: {name}: expected clips with sound and a known tag, got none"
                )
            clips.to(self.device)
        self.batch_size = self._batch_size()
        # Shapes stay the same, so cuDNN may search for its fastest algorithm.
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        torch.manual_seed(seed)
        self.model = DualEncoder(config)
        fit_scaler(self.model, corpus)
        self._start_fingerprint = None if start is None else start.fingerprint
        initialised = initialise_weights(self.model, corpus, start, seed)
        frozen = recipe.frozen if initialised else 0
        rehearsal = None
        if initialised:
            fixed = self._fixes_convolutions(frozen)
            rehearsal = rehearsal_of(self.model, corpus, recipe, fixed=fixed)
            self._keep_codes(fixed and recipe.patch == "whole")
        self.model.to(self.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.processes.size > 1:
            share_batch_norm(self.model, self.device)
        self.objective = Objective(
            self.model,
            recipe,
            mixed_precision=settings.mixed_precision,
            processes=self.processes,
            frozen=frozen,
            rehearsal=rehearsal,
        ).to(self.device)
        self._step_module = self._build_step_module(settings)
        self.optimizer = build_optimizer(recipe, self.objective.parameters(), self.device)
        self.epoch = 0
        self.stop_requested = False
        self.best: float | None = None
        self.history: list[dict[str, float]] = []
        self._reset_epoch()

    def _fixes_convolutions(self, frozen: int) -> bool:
        """Whether so many frozen layers are all that give a code: other kinds have a norm too."""
        return self.config.audio.kind == "mobilenet" and frozen >= len(MOBILENET_BLOCKS) + 2

    def _keep_codes(self, keep: bool) -> None:
        """Whether batches hold the codes of whole clips, which the model's start may have set."""
        if not keep:
            self.corpus.train.codes = self.corpus.validation.codes = None
        elif self.corpus.train.codes is None:
            hear_clips(self.model, self.corpus)

    def _batch_size(self) -> int:
        """The recipe's, at most the number of clips. Raises ConfigError."""
        size, processes = min(self.recipe.batch_size, len(self.corpus.train)), self.processes.size
        if size < 2 * processes:
            raise ConfigError(f"batch: expected at least 2 clips for each process, got {size}")
        if size % processes:
            raise ConfigError(
                f"batch: expected a multiple of the {processes} processes, got {size}"
            )
        return size

    def _build_step_module(self, settings: DeviceSettings) -> nn.Module:
        """The objective as a training step calls it: distributed, compiled."""
        module: nn.Module = self.objective
        if self.processes.size > 1:
            module = DistributedDataParallel(
                module,
                broadcast_buffers=False,
                find_unused_parameters=not self._every_part_has_loss(),
            )
        if settings.compile:
            module.compile()
        return module

    def _every_part_has_loss(self) -> bool:
        """Whether each part of the model has a loss: a decoder whose weight is 0 has none."""
        parts = (
            (self.model.audio_decoder, self.recipe.audio_weight),
            (self.model.tag_decoder, self.recipe.tag_weight),
        )
        return all(weight > 0 for part, weight in parts if part is not None)

    def _reset_epoch(self) -> None:
        self.step, self.seconds = 0, 0.0
        self.loss_sums: dict[str, Tensor] = {}

    def _run_key(self) -> dict[str, Any]:
        """The settings that must be equal for a run to be resumed."""
        initial = {"from": self._start_fingerprint, "teacher": self.corpus.card.get("teacher")}
        return {name: value for name, value in initial.items() if value is not None} | {
            "config": self.config.to_dict(),
            "recipe": self.recipe.to_dict(),
            "seed": self.seed,
            "mixed": self.objective.mixed_precision,
            "clips": len(self.corpus.train),
            "corpus": self.corpus.digest().hex(),
        }

    def resume(self) -> bool:
        """Continue from the last saved step of the folder; False without one.

        Raises ConfigError when the folder holds a run with other settings.
        """
        file = self.out / resume_state.FILE_NAME
        if not file.exists():
            return False
        header = resume_state.load_state(file, self.objective, self.optimizer, self._run_key())
        self.epoch, self.best, self.history = header["epoch"], header["best"], header["history"]
        self.step, self.seconds = header["step"], header["seconds"]
        self.loss_sums = {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in header["sums"].items()
        }
        return True

    def fit(self) -> dict[str, float]:
        """Train to the recipe's last epoch; returns the last epoch's losses and metrics.

        Raises RunInterrupted, with the run's state saved, on SIGINT or SIGTERM. A signal after the
        last step only sets `stop_requested`. A killed process loses the steps since the last epoch
        or the last ten minutes.
        """
        epochs, steps = self.recipe.epochs, self.corpus.train.steps_per_epoch(self.batch_size)
        first_epoch = self.epoch
        clips_left = ((epochs - self.epoch) * steps - self.step) * self.batch_size
        quiet = not self.processes.is_first
        with (
            catch_stop_signals() as request,
            progress("training", clips_left, quiet=quiet) as bar,
        ):
            while self.epoch < epochs:
                metrics = self._train_epoch(steps, bar, request)
                self.epoch += 1
                self._reset_epoch()
                self.history.append(metrics)
                if self.processes.is_first:
                    metrics |= validation_metrics(
                        self.objective, self.embedder(), self.corpus, self.seed
                    )
                    self._save(metrics)
                self.processes.barrier()
                bar.write(
                    f"epoch {self.epoch}/{epochs}  "
                    + "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
                )
            self.stop_requested = self._any_stop_request(request)  # too late for this run
        if self.processes.is_first:
            self._calibrate()
        if self.tensorboard is not None and self.epoch > first_epoch:
            embedder = self.embedder()
            self.tensorboard.write_tag_embeddings(
                self.epoch, embedder.vocabulary, embedder.vocabulary_vectors
            )
        return self.history[-1]

    def _train_epoch(self, steps: int, bar: Progress, request: StopRequest) -> dict[str, float]:
        """Train the remaining steps of an epoch; returns its mean losses."""
        started = saved = time.monotonic()
        seconds_before = self.seconds
        self.objective.train()
        # A GPU works ahead of Python: reading a loss waits for it.
        check_steps = 1 if self.device.type == "cpu" else GPU_CHECK_STEPS
        batches = self.corpus.train.batches(
            self.recipe,
            (self.seed, self.epoch),
            first_step=self.step,
            shard=(self.processes.rank, self.processes.size),
        )
        for batch in batches:
            check = self.step % check_steps == 0
            if check and self._any_stop_request(request):
                self._save_state()
                self.processes.barrier()
                raise RunInterrupted(f"stopped in epoch {self.epoch + 1} after step {self.step}")
            losses = self._train_step(batch, self.epoch * steps + self.step)
            bar.step(self.batch_size, self._progress_note(losses) if check else None)
            self.step += 1
            self.seconds = seconds_before + time.monotonic() - started
            if time.monotonic() - saved > SAVE_SECONDS:
                self._save_state()
                saved = time.monotonic()
        return self._mean_losses(steps)

    def _train_step(self, batch: TrainingBatch, run_step: int) -> dict[str, Tensor]:
        """One step of the optimiser; the losses by name, detached. `run_step` counts all epochs."""
        steps = self.corpus.train.steps_per_epoch(self.batch_size)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, run_step, steps)
        seeds = np.random.SeedSequence((self.seed, self.epoch, self.step, self.processes.rank))
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        losses: dict[str, Tensor] = self._step_module(batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        # Averaged over all processes, so that any of them could save the sums.
        values = torch.stack([loss.detach().double() for loss in losses.values()])
        means = dict(zip(losses, self.processes.sum(values) / self.processes.size, strict=True))
        self.loss_sums = {
            name: self.loss_sums.get(name, 0.0) + value for name, value in means.items()
        }
        return means

    def _progress_note(self, losses: dict[str, Tensor]) -> str:
        """A step's losses for the progress bar. Raises TrainingError when they are not finite."""
        values = {name: float(loss) for name, loss in losses.items()}
        if not math.isfinite(values["loss"]):
            raise TrainingError(f"loss: not finite in epoch {self.epoch + 1}, step {self.step}")
        return "  ".join(f"{name} {value:.3f}" for name, value in values.items())

    def _any_stop_request(self, request: StopRequest) -> bool:
        """Whether any process has a stop request: all stop at the same step."""
        if self.processes.size == 1:
            return request.is_set
        requests = torch.tensor(float(request.is_set), device=self.device)
        return bool(self.processes.sum(requests) > 0)

    def _mean_losses(self, steps: int) -> dict[str, float]:
        """Mean losses and seconds of the epoch that ends."""
        means = {f"train_{name}": float(total) / steps for name, total in self.loss_sums.items()}
        if not math.isfinite(means["train_loss"]):
            raise TrainingError(f"loss: not finite in epoch {self.epoch + 1}")
        return {**means, "seconds": self.seconds}

    def embedder(self) -> Embedder:
        """The model as it is now, in evaluation mode, as a service would load it."""
        return DualEmbedder(self._checkpoint(), str(self.device))

    def _checkpoint(self) -> Checkpoint:
        card = {
            **self.corpus.card,
            "temperature": self.objective.temperature,
            "epochs": self.epoch,
            "history": self.history,
        }
        return Checkpoint(self.model, self.corpus.words, self.corpus.vocabulary, card)

    def _validation_set(self, saved: Checkpoint) -> ValidationSet:
        """The clips that a model's scores are calibrated on."""
        counts = self.corpus.train.tag_counts(saved.vocabulary)
        clips, tags = self.corpus.validation, self.corpus.validation_tags
        return run_validation_set(saved, clips, tags, counts)

    def _calibrate(self) -> None:
        """Calibrate the best model tag by tag; once, because it is slow."""
        best = checkpoint.load(self.out)
        if "thresholds" in best.card.get("calibration", {}):
            return  # a finished run that was resumed
        best.model.to(self.device)
        if self.recipe.words == "phrases":
            best.background = self._background(best)
        validation = self._validation_set(best)
        fit_calibration(best.card, validation)
        fit_relevance(best.card, DualEmbedder(best, str(self.device)), validation)
        checkpoint.save(self.out, best)

    def _background(self, best: Checkpoint) -> Background:
        """What the training clips are at large, to a model."""
        clips = self.corpus.train
        indices = clips.indices[:: -(-len(clips) // BACKGROUND_CLIPS)]
        return Background.of(clips.vectors(DualEmbedder(best, str(self.device)), indices))

    def _save(self, metrics: dict[str, float]) -> None:
        """Save the best model if this epoch is the best, the last model, then the run's state."""
        value = metrics.get("mAP@10") if self.recipe.select == "mAP@10" else None
        value = -metrics["validation_loss"] if value is None else value
        if not math.isfinite(value):
            raise TrainingError(f"validation loss: not finite in epoch {self.epoch}")
        saved = self._checkpoint()
        if self.best is None or value > self.best:
            self.best = value
            fit_platt_scaling(saved.card, self._validation_set(saved))  # until the run's end
            checkpoint.save(self.out, saved)
        checkpoint.save(self.out / "last", saved)
        lines = [
            json.dumps({"epoch": epoch, **row}) for epoch, row in enumerate(self.history, start=1)
        ]
        write_whole(self.out / LOG, [f"{line}\n".encode() for line in lines])
        self._save_state()  # last: a kill before it repeats this epoch
        if self.tensorboard is not None:
            self.tensorboard.write_scalars(self.epoch, metrics)
            images = reconstructions(self.objective, self.corpus)
            if images is not None:
                self.tensorboard.write_reconstructions(self.epoch, *images)

    def _save_state(self) -> None:
        """Save what a resumed run needs, as of the last step."""
        if not self.processes.is_first:
            return
        header = {
            "run": self._run_key(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "sums": {name: float(total) for name, total in self.loss_sums.items()},
            "best": self.best,
            "history": self.history,
        }
        resume_state.save_state(
            self.out / resume_state.FILE_NAME, self.objective, self.optimizer, header
        )
