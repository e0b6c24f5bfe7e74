"""A rung of the ladder: frozen features of sounds, and what is trained on them to meet tags.

The audio side is the preset's projection (a perceptron) on the features; the tag side, the losses
and the optimiser are the preset's own. Letters: B = batch, d = width of the features, D = shared
dimension, F_w = word dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from earmark.model.config import AudioConfig, ModelConfig
from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import pad_words, unit
from earmark.model.networks.layers import perceptron
from earmark.model.networks.tag_encoder import build_tag_encoder
from earmark.model.text.word_vectors import WordVectors
from earmark.training.data.dataset import TrainingSet
from earmark.training.errors import CorpusError
from earmark.training.features.cache import FeatureSet
from earmark.training.loop.losses import nt_xent, tagwise
from earmark.training.loop.objective import temperature_of
from earmark.training.loop.optimizer import optimizer, rate
from earmark.training.recipe import Recipe


class Projection(nn.Module):
    """Features [B, d] and tags' words → the shared space; `config` is the preset's."""

    low: Tensor
    spread: Tensor

    def __init__(self, features: Array, config: ModelConfig, recipe: Recipe) -> None:
        """`features`: those of the training clips [n, d], which say what is usual."""
        super().__init__()
        audio, width = config.audio, features.shape[1]
        self.audio: nn.Module = nn.Linear(width, config.dim, bias=False)
        if audio.hidden:
            self.audio = perceptron(width, audio.hidden, config.dim, audio.dropout)
        self.tags = build_tag_encoder(config)
        scale, learned = torch.tensor(-math.log(recipe.temperature)), recipe.learned_temperature
        self.scale = nn.Parameter(scale, learned)  # ln(1 / τ)
        self.tagwise_scale = nn.Parameter(scale.clone(), learned)
        self.register_buffer("low", torch.from_numpy(features.mean(axis=0)))
        deviation = features.std(axis=0)
        least = 1e-3 * deviation.mean() + 1e-6  # so that what hardly varied does not explode
        self.register_buffer("spread", torch.from_numpy(deviation + least))

    def standardised(self, features: Array) -> Array:
        """Features [n, d] → of mean 0 and deviation 1 over the training clips."""
        made: Array = (features - self.low.numpy()) / self.spread.numpy()
        return made

    def sounds(self, features: Array) -> Array:
        """Features [n, d] → unit vectors [n, D]."""
        self.eval()
        with torch.inference_mode():
            return unit(self.audio(torch.from_numpy(self.standardised(features))).numpy())

    def words(self, vectors: Array) -> Array:
        """Word vectors [n, F_w], each a tag set of one → unit vectors [n, D]."""
        self.eval()
        with torch.inference_mode():
            return unit(self.tags(*pad_words(list(vectors[:, None]), 1)).numpy())


@dataclass(frozen=True)
class Lessons:
    """What rungs are trained on: clips, their clean tags, the tags' words; and how."""

    clips: Sequence[ManifestRow]
    tag_sets: Sequence[Sequence[str]]
    words: WordVectors
    config: ModelConfig
    recipe: Recipe

    def batches(self, features: Array) -> TrainingSet:
        """The clips as a trainer draws them, each one frame long: its features [n, d].

        A row of NaN is a clip that could not be read: it is left out.
        """
        there = np.isfinite(features).all(axis=1)
        offsets = np.concatenate([[0], np.cumsum(there)]).astype(np.int64)
        frames = FeatureSet(features[there].astype(np.float16), offsets, {})
        config = replace(
            self.config,
            features=replace(self.config.features, frames=1, n_mels=features.shape[1]),
            audio=AudioConfig(channels=(), decoder=False),  # convolutions would halve the frame
        )
        return TrainingSet(self.clips, self.tag_sets, frames, self.words, config)


def train(
    lessons: Lessons, features: Array, seed: int, judge: Callable[[Projection], float]
) -> tuple[Projection, int]:
    """(A projection of the clips' features [n, d], the epoch it is of): that `judge` likes best.

    Drawn are the clips, their order and the tags that are dropped; whatever else the recipe changes
    in a clip needs its sound. torch's generator stays as it was. Raises CorpusError.
    """
    recipe = lessons.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        known = features[np.isfinite(features).all(axis=1)]
        if not len(known):
            raise CorpusError("ladder: expected training clips that can be read, got none")
        projection = Projection(known, lessons.config, recipe)
        clips = lessons.batches(projection.standardised(features))
        learner = optimizer(recipe, projection.parameters(), torch.device("cpu"))
        best, kept, chosen = -math.inf, projection.state_dict(), 0
        for epoch in range(recipe.epochs):
            _epoch(projection, clips, recipe, learner, (seed, epoch))
            value = judge(projection)
            if value > best:
                best, chosen = value, epoch + 1
                kept = {name: each.clone() for name, each in projection.state_dict().items()}
    projection.load_state_dict(kept)
    return projection, chosen


def _epoch(
    projection: Projection,
    clips: TrainingSet,
    recipe: Recipe,
    learner: torch.optim.Optimizer,
    seed: tuple[int, int],
) -> None:
    """`seed`: (run's seed, epoch)."""
    plain = recipe.without_augmentation()
    shown = replace(plain, tag_dropout=recipe.tag_dropout, balance=recipe.balance)
    steps = clips.steps(recipe.batch_size)
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    projection.train()
    for step, batch in enumerate(clips.epoch(shown, seed), start=seed[1] * steps):
        for group in learner.param_groups:
            group["lr"] = rate(recipe, step, steps)
        sounds = projection.audio(batch.log_mel[:, 0])
        loss = nt_xent(
            sounds,
            projection.tags(batch.words, batch.mask),
            temperature_of(projection.scale),
            same=batch.same,
            as_run=recipe.as_run,
        )
        if batch.carried is not None and batch.every is not None:
            alone = batch.mask.new_ones(len(batch.every), 1)
            tags = projection.tags(batch.every[:, None], alone)
            each = tagwise(sounds, tags, batch.carried, temperature_of(projection.tagwise_scale))
            loss = loss + recipe.tagwise_weight * each
        learner.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        learner.step()
