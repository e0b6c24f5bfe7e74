"""Trains a preset on a prepared corpus: eq. (6) over epochs, validated, saved, resumable.

Files of a run's folder: `model.safetensors` (the best model by the recipe's choice, ready to
serve), `last/model.safetensors`, `training.safetensors` (to resume), `log.jsonl` (one line an
epoch).
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model import checkpoint
from model.aligned import AlignedModel
from model.checkpoint import Checkpoint
from model.config import ModelConfig
from model.embedder import Embedder, select_device
from model.features import mel_filters
from model.progress import Progress, progress
from model.tags import MultiHotTagEncoder
from model.words import WordVectors
from training import state
from training.calibration import fit_calibration
from training.dataset import Batch, TrainingSet
from training.errors import TrainingError
from training.evaluation import retrieval
from training.losses import generalized_kl, nt_xent, tag_reconstruction
from training.recipe import Recipe

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]


@dataclass
class Corpus:
    """All a run needs of its data: both sides ready, words, vocabulary, where it came from.

    `bands`: band minima and maxima [F] of the scaler; taken from the training clips when None.
    """

    train: TrainingSet
    validation: TrainingSet
    validation_tags: Sequence[Sequence[str]]
    words: WordVectors
    vocabulary: list[str]
    card: dict[str, Any]
    bands: tuple[Array, Array] | None = None


def step_losses(model: AlignedModel, batch: Batch, recipe: Recipe) -> dict[str, Tensor]:
    """The losses of a batch by name, and their weighted sum as "loss" (eq. (6))."""
    patches = model.scale(batch.log_mel)[:, None]
    assert model.audio is not None, "presets have both halves"
    codes, phi_audio = model.audio(patches.contiguous(memory_format=torch.channels_last))
    losses: dict[str, Tensor] = {}
    if isinstance(model.tags, MultiHotTagEncoder):
        multihot = model.tags.multihot(batch.words, batch.mask)
        tag_codes = model.tags.encode(multihot)
        phi_tags = model.tags.project(tag_codes)
        if model.tag_decoder is not None and recipe.tag_weight:
            losses["tags"] = tag_reconstruction(multihot, model.tag_decoder(tag_codes))
    else:
        phi_tags = model.tags(batch.words, batch.mask)
    losses["contrastive"] = nt_xent(
        phi_audio, phi_tags, recipe.temperature, same=batch.same, as_run=recipe.as_run
    )
    if model.audio_decoder is not None and recipe.audio_weight:
        losses["audio"] = generalized_kl(patches, model.audio_decoder(codes))
    weights = {
        "audio": recipe.audio_weight,
        "contrastive": recipe.contrastive_weight,
        "tags": recipe.tag_weight,
    }
    losses["loss"] = torch.stack([weights[name] * each for name, each in losses.items()]).sum()
    return losses


class Trainer:
    """One run in one folder."""

    def __init__(
        self,
        config: ModelConfig,
        recipe: Recipe,
        corpus: Corpus,
        out: Path,
        *,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.config, self.recipe, self.corpus, self.out = config, recipe, corpus, out
        self.device, self.seed = select_device(device), seed
        for name, part in (("train", corpus.train), ("validation", corpus.validation)):
            if not len(part):
                raise TrainingError(
                    f"corpus: {name}: expected clips with sound and a known tag, got none"
                )
        torch.manual_seed(seed)
        self.model = AlignedModel(config)
        self._fit_scaler()
        self.model.to(self.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = self._optimizer()
        self.epoch, self.best = 0, -math.inf
        self.history: list[dict[str, float]] = []

    def _fit_scaler(self) -> None:
        """Band minima and maxima of the training clips, and the mel filters (METHOD §1)."""
        if self.corpus.bands is None:
            frames = self.corpus.train.frames()
            low, high = (edge(axis=0).astype(np.float32) for edge in (frames.min, frames.max))
        else:
            low, high = self.corpus.bands
        high = np.maximum(high, low + 1)  # a band that never varies (8 kHz sounds) has no range
        self.model.band_min.copy_(torch.from_numpy(low))
        self.model.band_max.copy_(torch.from_numpy(high))
        self.model.mel_filters.copy_(torch.from_numpy(mel_filters(self.config.features)))

    def _optimizer(self) -> torch.optim.Optimizer:
        rate, decay = self.recipe.learning_rate, self.recipe.weight_decay
        if self.recipe.optimizer == "sgd":
            return torch.optim.SGD(self.model.parameters(), lr=rate, weight_decay=decay)
        return torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=decay)

    def _rate(self, step: int, steps: int) -> float:
        """Learning rate at a step of the whole run: linear warm-up, then the schedule."""
        recipe = self.recipe
        warmup = recipe.warmup_epochs * steps
        if step < warmup:
            return recipe.learning_rate * (step + 1) / warmup
        if recipe.schedule == "constant":
            return recipe.learning_rate
        done = (step - warmup) / max(1, recipe.epochs * steps - warmup)
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def _run_key(self) -> dict[str, Any]:
        """What must not change between a run and its resumption."""
        return {
            "config": self.config.to_dict(),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "clips": len(self.corpus.train),
            "corpus": self.corpus.card.get("corpus"),
        }

    def resume(self) -> bool:
        """Go on from the folder's last saved epoch; False when there is none.

        Raises ConfigError when the folder holds a run with other settings.
        """
        file = self.out / state.FILE_NAME
        if not file.exists():
            return False
        header = state.load_state(file, self.model, self.optimizer, self._run_key())
        self.epoch, self.best, self.history = header["epoch"], header["best"], header["history"]
        return True

    def fit(self) -> dict[str, float]:
        """Train to the recipe's last epoch; returns the last epoch's figures.

        An interruption loses at most the epoch it falls in.
        """
        recipe = self.recipe
        steps = self.corpus.train.steps(recipe.batch_size)
        if self.epoch == 0:
            (self.out / "log.jsonl").unlink(missing_ok=True)
        left = (recipe.epochs - self.epoch) * steps * min(recipe.batch_size, len(self.corpus.train))
        with progress("training", left) as shown:
            while self.epoch < recipe.epochs:
                figures = self._epoch(steps, shown)
                self.epoch += 1
                self._validate(figures)
                self._save(figures)
                shown.say(
                    f"epoch {self.epoch}/{recipe.epochs}  "
                    + "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
                )
        return self.history[-1]

    def _epoch(self, steps: int, shown: Progress) -> dict[str, float]:
        started = time.monotonic()
        torch.manual_seed(self.seed * 1_000_003 + self.epoch)
        generator = np.random.default_rng([self.seed, self.epoch])
        self.model.train()
        sums: dict[str, float] = {}
        for number, batch in enumerate(self.corpus.train.epoch(self.recipe, generator)):
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate(self.epoch * steps + number, steps)
            losses = step_losses(self.model, self._moved(batch), self.recipe)
            self.optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            if not math.isfinite(sums["loss"]):
                raise TrainingError(f"loss: not finite in epoch {self.epoch + 1}, step {number}")
            shown.step(len(batch.mask), f"loss {float(losses['loss'].detach()):.3f}")
        figures = {f"train_{name}": total / steps for name, total in sums.items()}
        figures["seconds"] = time.monotonic() - started
        return figures

    def _moved(self, batch: Batch) -> Batch:
        if self.device.type == "cpu":
            return batch
        same = None if batch.same is None else batch.same.to(self.device)
        return Batch(
            batch.log_mel.to(self.device, non_blocking=True),
            batch.words.to(self.device, non_blocking=True),
            batch.mask.to(self.device, non_blocking=True),
            same,
        )

    def embedder(self) -> Embedder:
        """The model as it stands, in evaluation mode, embedding as it will once served."""
        return Embedder(self._checkpoint(), str(self.device))

    def _checkpoint(self) -> Checkpoint:
        card = {**self.corpus.card, "epochs": self.epoch, "history": self.history}
        return Checkpoint(self.model, self.corpus.words, self.corpus.vocabulary, card)

    def _validate(self, figures: dict[str, float]) -> None:
        """Add the validation loss and retrieval figures to the epoch's."""
        quiet = self.recipe.without_augmentation()
        validation = self.corpus.validation
        self.model.eval()
        generator = np.random.default_rng(self.seed)
        with torch.inference_mode():
            losses = [
                float(step_losses(self.model, self._moved(batch), quiet)["loss"])
                for batch in validation.epoch(quiet, generator)
            ]
        figures["validation_loss"] = float(np.mean(losses))
        audio = retrieval.embed_features(
            self.embedder(), validation.features, validation.numbers.tolist()
        )
        tag_sets = [self.corpus.validation_tags[number] for number in validation.numbers]
        if retrieval.known_queries(self.embedder(), tag_sets):
            scores = retrieval.score(self.embedder(), audio, tag_sets)
            figures["mAP@10"] = scores["tag_to_audio"]["mAP@10"]
            figures["audio_to_tag_mAP@10"] = scores["audio_to_tag"]["mAP@10"]

    def _save(self, figures: dict[str, float]) -> None:
        """Best model where this epoch is it, then last model, then the state to resume."""
        self.history.append(figures)
        value = figures.get("mAP@10") if self.recipe.select == "mAP@10" else None
        value = -figures["validation_loss"] if value is None else value
        saved = self._checkpoint()
        if value > self.best:
            self.best = value
            fit_calibration(saved, self.corpus.validation, self.corpus.validation_tags)
            checkpoint.save(self.out, saved)
        checkpoint.save(self.out / "last", saved)
        header = {"run": self._run_key(), "epoch": self.epoch, "best": self.best}
        state.save_state(
            self.out / state.FILE_NAME,
            self.model,
            self.optimizer,
            {**header, "history": self.history},
        )
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": self.epoch, **figures}) + "\n")
