"""What a model is before its first step: its scaler, and the weights that it begins with."""

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
from earmark.training.distillation.channel_pruning import compress
from earmark.training.distillation.teacher import FEATURES, LICENCE, NAME, read_teacher
from earmark.training.distillation.teacher_codes import heard
from earmark.training.recipe import Recipe

FITTED = 384  # windows that a compressed teacher is fitted on
NEARLY_FULL = 0.01  # nats under full level


def fit_scaler(model: DualEncoder, corpus: Corpus) -> None:
    """Band minima and maxima of the training clips, and the mel filters (METHOD §1)."""
    if corpus.bands is None:
        frames = corpus.train.features.frames
        low, high = (edge(axis=0).astype(np.float32) for edge in (frames.min, frames.max))
    else:
        low, high = corpus.bands
    high = np.maximum(high, low + 1)  # a band that never varies (8 kHz sounds) has no range
    model.band_min.copy_(torch.from_numpy(low))
    model.band_max.copy_(torch.from_numpy(high))
    model.mel_filters.copy_(torch.from_numpy(mel_filters(model.config.features)))


def learn_from(teacher: Path, corpus: Corpus, recipe: Recipe, cache: Path, *, mixed: bool) -> None:
    """Have a teacher (`training.distillation.teacher`) hear the training clips, once; `mixed`: in
    bfloat16.

    Raises ConfigError where the preset learns from none, TrainingError where it is another file.
    """
    clips = corpus.train
    if not recipe.teacher_weight or clips.config.features != FEATURES:
        raise ConfigError(f"--teacher: the preset {clips.config.name} learns from none")
    corpus.teacher = read_teacher(teacher)
    clips.knowledge = heard(corpus.teacher, clips.features, cache, mixed=mixed)
    corpus.card["teacher"] = {"name": NAME, "licence": LICENCE}


def begin(
    model: DualEncoder, corpus: Corpus, recipe: Recipe, start: Checkpoint | None, seed: int
) -> bool:
    """Give a model the weights of `start`, or of the corpus's teacher made narrow, where there is
    either. Whether its encoder knows something then.

    Raises ConfigError where `start` is built otherwise.
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
    clips, draws = corpus.train, np.random.default_rng(seed)
    few = draws.choice(clips.numbers, min(FITTED, len(clips)))
    plain = replace(recipe.without_augmentation(), quieter=NEARLY_FULL)
    patches = model.scale(clips.batch(few, plain, draws).log_mel.cpu())[:, None]
    compress(corpus.teacher, model.audio, patches, seed)
    return True
