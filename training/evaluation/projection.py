"""A rung of the ladder: a projection and a tag encoder, trained on frozen features of sounds.

The audio side is a perceptron of the preset's width on the features. The tag encoder is the
preset's self-attention over word vectors, without prototypes: those begin as a teacher's names, and
a rung has no teacher of words. The losses and the optimiser are the preset's own. Letters:
B = batch, n = clips, d = size of the features, D = shared dimension, F_w = word dimension.
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
from earmark.model.embedder import unit
from earmark.model.encoders.earmark import pad_words
from earmark.model.networks.layers import perceptron
from earmark.model.networks.tag_encoder import build_tag_encoder
from earmark.model.text.word_vectors import WordVectors
from earmark.training.data.dataset import TrainingSet
from earmark.training.errors import CorpusError
from earmark.training.features.cache import FeatureSet
from earmark.training.loop.losses import nt_xent, tagwise
from earmark.training.loop.objective import bounded_temperature
from earmark.training.loop.optimizer import build_optimizer, learning_rate
from earmark.training.recipe import Recipe


class Projection(nn.Module):
    """Features [B, d] and tags' word vectors → the shared space; `config` is the preset's."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: Array, config: ModelConfig, recipe: Recipe) -> None:
        """`features` [n, d]: those of the training clips, which standardise all others."""
        super().__init__()
        audio, width = config.audio, features.shape[1]
        self.audio: nn.Module = nn.Linear(width, config.dim, bias=False)
        if audio.hidden:
            self.audio = perceptron(width, audio.hidden, config.dim, audio.dropout)
        self.tags = build_tag_encoder(replace(config, tags=replace(config.tags, prototypes=0)))
        scale, learned = torch.tensor(-math.log(recipe.temperature)), recipe.learned_temperature
        self.scale = nn.Parameter(scale, learned)  # ln(1 / τ)
        self.tagwise_scale = nn.Parameter(scale.clone(), learned)
        self.register_buffer("mean", torch.from_numpy(features.mean(axis=0)))
        deviation = features.std(axis=0)
        floor = 1e-3 * deviation.mean() + 1e-6  # for features that hardly vary
        self.register_buffer("deviation", torch.from_numpy(deviation + floor))

    def standardised(self, features: Array) -> Array:
        """Features [n, d] with mean 0 and standard deviation 1 over the training clips."""
        values: Array = (features - self.mean.numpy()) / self.deviation.numpy()
        return values

    def sounds(self, features: Array) -> Array:
        """Features [n, d] → unit vectors [n, D]."""
        self.eval()
        with torch.inference_mode():
            return unit(self.audio(torch.from_numpy(self.standardised(features))).numpy())

    def words(self, vectors: Array) -> Array:
        """Word vectors [n, F_w], each a set of one tag → unit vectors [n, D]."""
        self.eval()
        with torch.inference_mode():
            words, mask = pad_words(list(vectors[:, None]), 1)
            return unit(self.tags(torch.from_numpy(words), torch.from_numpy(mask)).numpy())


@dataclass(frozen=True)
class ProjectionData:
    """Training clips, their clean tags and word vectors; the preset's configuration and recipe."""

    clips: Sequence[ManifestRow]
    tag_sets: Sequence[Sequence[str]]
    words: WordVectors
    config: ModelConfig
    recipe: Recipe

    def training_set(self, features: Array) -> TrainingSet:
        """The clips as a training set, each one frame long: its features [n, d].

        A clip with a row of NaN is left out.
        """
        readable = np.isfinite(features).all(axis=1)
        offsets = np.concatenate([[0], np.cumsum(readable)]).astype(np.int64)
        frames = FeatureSet(features[readable].astype(np.float16), offsets, {})
        config = replace(
            self.config,
            features=replace(self.config.features, frames=1, n_mels=features.shape[1]),
            audio=AudioConfig(channels=(), decoder=False),  # convolutions would halve the frame
        )
        return TrainingSet(self.clips, self.tag_sets, frames, self.words, config)


def train_projection(
    data: ProjectionData, features: Array, seed: int, score: Callable[[Projection], float]
) -> tuple[Projection, int]:
    """(the projection of the epoch with the highest `score`, that epoch's number).

    `features` [n, d] are of the data's clips. Of the recipe's augmentation, only tag dropout and
    balance apply: the rest needs the sound. torch's random state is restored. Raises CorpusError
    without a readable clip.
    """
    recipe = data.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        readable = features[np.isfinite(features).all(axis=1)]
        if not len(readable):
            raise CorpusError("ladder: expected training clips that can be read, got none")
        projection = Projection(readable, data.config, recipe)
        clips = data.training_set(projection.standardised(features))
        optimizer = build_optimizer(recipe, projection.parameters(), torch.device("cpu"))
        best_score, best_epoch, best_state = -math.inf, 0, projection.state_dict()
        for epoch in range(recipe.epochs):
            _train_epoch(projection, clips, recipe, optimizer, (seed, epoch))
            value = score(projection)
            if value > best_score:
                best_score, best_epoch = value, epoch + 1
                best_state = {
                    name: tensor.clone() for name, tensor in projection.state_dict().items()
                }
    projection.load_state_dict(best_state)
    return projection, best_epoch


def _train_epoch(
    projection: Projection,
    clips: TrainingSet,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    seed: tuple[int, int],
) -> None:
    """Train one epoch; `seed`: (the run's seed, epoch)."""
    plain = recipe.without_augmentation()
    augmented = replace(plain, tag_dropout=recipe.tag_dropout, balance=recipe.balance)
    steps = clips.steps_per_epoch(recipe.batch_size)
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    projection.train()
    for step, batch in enumerate(clips.batches(augmented, seed), start=seed[1] * steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, steps)
        assert batch.log_mel is not None, "the clips' features stand for frames"
        sounds = projection.audio(batch.log_mel[:, 0])
        loss = recipe.contrastive_weight * nt_xent(
            sounds,
            projection.tags(batch.words, batch.mask),
            bounded_temperature(projection.scale),
            false_negatives=batch.false_negatives,
            as_run=recipe.as_run,
        )
        if batch.has_tag is not None and batch.all_tags is not None:
            mask = batch.mask.new_ones(len(batch.all_tags), 1)
            tags = projection.tags(batch.all_tags[:, None], mask)
            temperature = bounded_temperature(projection.tagwise_scale)
            loss = loss + recipe.tagwise_weight * tagwise(sounds, tags, batch.has_tag, temperature)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
