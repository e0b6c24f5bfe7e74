"""A model before its first step: its scaler and its initial weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from earmark.model.audio.log_mel import mel_filters
from earmark.model.checkpoint import Checkpoint
from earmark.model.core.errors import ConfigError
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.training.data.corpus import Corpus
from earmark.training.distillation.channel_pruning import prune_channels
from earmark.training.distillation.teacher import (
    TEACHER_FEATURES,
    TEACHER_LICENCE,
    TEACHER_NAME,
    read_teacher,
)
from earmark.training.distillation.teacher_codes import compute_teacher_codes
from earmark.training.recipe import Recipe

PRUNING_WINDOWS = 384  # that the pruned encoder is fitted on
NEARLY_FULL = 0.01  # nats under full level


def fit_scaler(model: DualEncoder, corpus: Corpus) -> None:
    """Set the scaler's bands from the training clips, and the mel filters (METHOD §1)."""
    if corpus.bands is None:
        frames = corpus.train.features.frames
        low, high = (edge(axis=0).astype(np.float32) for edge in (frames.min, frames.max))
    else:
        low, high = corpus.bands
    high = np.maximum(high, low + 1)  # a band that never varies (8 kHz sounds) has no range
    model.band_min.copy_(torch.from_numpy(low))
    model.band_max.copy_(torch.from_numpy(high))
    model.mel_filters.copy_(torch.from_numpy(mel_filters(model.config.features)))


def attach_teacher(
    file: Path, corpus: Corpus, recipe: Recipe, cache: Path, *, mixed_precision: bool
) -> None:
    """Read a teacher, compute its codes of the training clips, and name it on the corpus's card.

    `mixed_precision`: the teacher computes in bfloat16. Raises ConfigError where the preset has no
    teacher loss, TrainingError where the file is not the teacher's.
    """
    clips = corpus.train
    if not recipe.teacher_weight or clips.config.features != TEACHER_FEATURES:
        raise ConfigError(f"--teacher: the preset {clips.config.name} learns from none")
    corpus.teacher = read_teacher(file)
    clips.teacher_codes = compute_teacher_codes(
        corpus.teacher, clips.features, cache, mixed_precision=mixed_precision
    )
    corpus.card["teacher"] = {"name": TEACHER_NAME, "licence": TEACHER_LICENCE}


def initialise_weights(
    model: DualEncoder, corpus: Corpus, recipe: Recipe, start: Checkpoint | None, seed: int
) -> bool:
    """Copy the weights of `start`, or prune the corpus's teacher into the audio encoder.

    Returns whether there was either; else the weights stay random. Raises ConfigError where
    `start` has another architecture.
    """
    if start is not None:
        if replace(start.model.config, name=model.config.name) != model.config:
            raise ConfigError(
                f"--from: expected a model of the preset {model.config.name}, "
                f"got one of {start.model.config.name} that is built otherwise"
            )
        model.load_state_dict(start.model.state_dict())
        return True
    if corpus.teacher is None:
        return False
    assert model.audio is not None, "presets have both halves"
    clips, generator = corpus.train, np.random.default_rng(seed)
    indices = generator.choice(clips.indices, min(PRUNING_WINDOWS, len(clips)))
    plain = replace(recipe.without_augmentation(), quieter=NEARLY_FULL)
    patches = model.scale(clips.make_batch(indices, plain, generator).log_mel.cpu())[:, None]
    prune_channels(corpus.teacher, model.audio, patches, seed)
    return True
