"""A model before its first step: its scaler and its initial weights."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from earmark.model.audio.log_mel import mel_filters
from earmark.model.checkpoint import Checkpoint
from earmark.model.config import ModelConfig
from earmark.model.core.errors import ConfigError
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.networks.tag_encoder import PrototypeTagEncoder
from earmark.training.data.corpus import Corpus
from earmark.training.distillation.bridge import begin_audio, begin_tags
from earmark.training.distillation.efficientat import (
    TEACHER_LICENCE,
    TEACHER_NAME,
    Teacher,
    read_teacher,
)
from earmark.training.distillation.rehearsal import Rehearsal
from earmark.training.recipe import Recipe


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


def attach_teacher(file: Path, corpus: Corpus, config: ModelConfig) -> None:
    """Read a teacher, and name it on the corpus's card.

    Raises ConfigError where the preset has no teacher, TrainingError for another file.
    """
    if config.audio.kind != "mobilenet" or config.words == "stored":
        raise ConfigError(f"--teacher: the preset {config.name} learns from none")
    corpus.teacher = read_teacher(file)
    corpus.card["teacher"] = {"name": TEACHER_NAME, "licence": TEACHER_LICENCE}


def initialise_weights(
    model: DualEncoder, corpus: Corpus, start: Checkpoint | None, seed: int
) -> bool:
    """Copy the weights of `start`, or begin as the corpus's teacher.

    Returns whether there was either; else the weights stay random. Raises ConfigError where
    `start` has another architecture.
    """
    corpus.train.codes = corpus.validation.codes = None  # of a run before
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
    begin_as_teacher(model, corpus, corpus.teacher, seed)
    return True


def begin_as_teacher(model: DualEncoder, corpus: Corpus, teacher: Teacher, seed: int) -> None:
    """Make the model what `training.distillation.bridge` describes, on the training clips."""
    assert model.audio is not None, "presets have both halves"
    assert isinstance(model.tags, PrototypeTagEncoder), "checked with the teacher"
    model.audio.convolutions.load_state_dict(teacher.convolutions)
    hear_clips(model, corpus)
    assert corpus.train.codes is not None, "just set"
    codes = corpus.train.codes[corpus.train.indices]
    directions = begin_audio(model.audio, teacher, codes)
    said = corpus.train.said
    assert said is not None, "a model of phrases"
    classes, literal = said.classes, said.classes.literal
    vectors, class_of = classes.vectors[literal], classes.concept_of[literal]
    begin_tags(model.tags, vectors, class_of, directions, seed)


def hear_clips(model: DualEncoder, corpus: Corpus) -> None:
    """Set the codes of the corpus's clips, as the model's convolutions give them now."""
    fused = copy.deepcopy(model).eval()
    assert fused.audio is not None, "presets have both halves"
    fused.audio.fuse()
    embedder = DualEmbedder(
        Checkpoint(fused, corpus.words, corpus.vocabulary), str(corpus.train.device)
    )
    for clips in (corpus.train, corpus.validation):
        clips.hear(embedder)


def rehearsal_of(
    model: DualEncoder, corpus: Corpus, recipe: Recipe, *, fixed: bool
) -> Rehearsal | None:
    """What the model knows now, where the recipe keeps it. `fixed`: its convolutions stay so."""
    said = corpus.train.said
    if not recipe.teacher_weight or said is None or model.audio is None:
        return None
    if not isinstance(model.tags, PrototypeTagEncoder):
        return None
    names = torch.from_numpy(said.classes.vectors[said.classes.first])
    return Rehearsal(model.audio, model.tags, names, same_codes=fixed)
