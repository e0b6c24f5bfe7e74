"""A model that begins as its teacher: what the teacher hears, said by the names of its classes.

The sound's vector is the teacher's logits, each standardised over the training clips, on their
first D principal axes. A class's direction is its own row of those axes. Prototypes lie where the
class's phrases lie, in all languages, and point in that direction. Letters: n = clips or phrases,
V = size of a code, D = shared dimension, F_w = word dimension, C = classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from earmark.model.audio.log_mel import mel_filters
from earmark.model.checkpoint import Checkpoint
from earmark.model.config import preset
from earmark.model.core.arrays import Array
from earmark.model.core.errors import ConfigError
from earmark.model.core.progress import progress
from earmark.model.networks.audio_encoder import AudioEncoder, ClassifierProjection
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.networks.prototypes import Prototypes
from earmark.model.networks.tag_encoder import PrototypeTagEncoder
from earmark.model.text.normalize import tokens
from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.training.distillation.efficientat import (
    BANDS,
    TEACHER_LICENCE,
    TEACHER_NAME,
    Teacher,
)

Integers = npt.NDArray[np.int64]

KEY_TEMPERATURE = 0.03  # of the softmax over the cosines of a phrase and the prototypes' keys
FIT_STEPS, FIT_PHRASES, FIT_RATE = 300, 1_024, 2e-3


def begin_audio(audio: AudioEncoder, teacher: Teacher, codes: Array) -> Array:
    """Set the projection of an audio encoder from its teacher; returns class directions [C, D].

    `codes` [n, V]: of the training clips, by the teacher's convolutions.
    """
    projection = audio.projection
    assert isinstance(projection, ClassifierProjection), "checked with the configuration"
    logits = teacher.logits(codes).astype(np.float64)
    mean, deviation = logits.mean(axis=0), np.maximum(logits.std(axis=0), 1e-6)
    standard = (logits - mean) / deviation
    _, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    dim = projection.linear.out_features
    directions = axes[:, ::-1][:, :dim] * _signs(axes[:, ::-1][:, :dim])
    weight, bias = (layer.double().numpy() for layer in teacher.output)
    _set(projection.hidden.weight, teacher.hidden[0].numpy())
    assert projection.hidden.bias is not None and projection.linear.bias is not None
    _set(projection.hidden.bias, teacher.hidden[1].numpy())
    _set(projection.linear.weight, (directions / deviation[:, None]).T @ weight)
    _set(projection.linear.bias, ((bias - mean) / deviation) @ directions)
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True), np.float32)


def _signs(axes: Array) -> Array:
    """A sign for each axis, so that its largest entry is positive: eigenvectors have either."""
    largest = np.abs(axes).argmax(axis=0)
    return np.asarray(np.sign(axes[largest, np.arange(axes.shape[1])]))


def _set(parameter: Tensor, values: Array) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def begin_tags(
    tags: PrototypeTagEncoder, vectors: Array, class_of: Integers, directions: Array, seed: int
) -> None:
    """Set the prototypes of a tag encoder from phrases of the classes, and fit them to these.

    `vectors` [n, F_w]: of the phrases; `class_of` [n]: each one's class; `directions` [C, D].
    Raises ConfigError for fewer prototypes than classes.
    """
    prototypes, classes = tags.prototypes, len(directions)
    per_class = prototypes.keys.out_features // classes
    if not per_class:
        raise ConfigError(
            f"prototypes: expected at least one for each of {classes} classes, "
            f"got {prototypes.keys.out_features}"
        )
    centres = _centres(vectors, class_of, classes, per_class, seed)
    with torch.no_grad():
        count = len(centres)
        prototypes.keys.weight[:count] = torch.from_numpy(centres / KEY_TEMPERATURE)
        repeated = torch.from_numpy(np.repeat(directions, per_class, axis=0))
        prototypes.values.weight[:, :count] = repeated.T
    _fit(prototypes, torch.from_numpy(vectors), torch.from_numpy(directions[class_of]), seed)


def _centres(vectors: Array, class_of: Integers, classes: int, count: int, seed: int) -> Array:
    """`count` unit centres of each class's phrases, [classes · count, F_w]."""
    from sklearn.cluster import KMeans

    centres = []
    for number in range(classes):
        phrases = vectors[class_of == number]
        if len(phrases) <= count:
            centres.append(np.resize(phrases, (count, phrases.shape[1])))
        else:
            fitted = KMeans(count, n_init=1, random_state=seed).fit(phrases)
            centres.append(fitted.cluster_centers_)
    stacked = np.concatenate(centres).astype(np.float32)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True), np.float32)


def _fit(prototypes: Prototypes, vectors: Tensor, targets: Tensor, seed: int) -> None:
    """Turn the phrases' vectors [n, D] to their targets [n, D], in random batches."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(prototypes.parameters(), lr=FIT_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, FIT_STEPS)
    prototypes.train()
    torch.manual_seed(seed)
    with progress("fitting phrases", FIT_STEPS, "steps") as bar:
        for _ in range(FIT_STEPS):
            rows = torch.randint(len(vectors), (FIT_PHRASES,), generator=generator)
            said = functional.normalize(prototypes(vectors[rows]), dim=1)
            loss = (1 - (said * targets[rows]).sum(dim=1)).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            bar.step(1)


def teacher_model(teacher: Teacher, names: list[str]) -> Checkpoint:
    """The teacher as a model of ours: a sound's vector is its logits [527], and each class, whose
    name is a tag, is a prototype of the sentence encoder.

    `names`: those of the classes, in order.
    """
    base, classes = preset("starter"), len(names)
    config = replace(
        base, name="mn04_as", dim=classes, tags=replace(base.tags, heads=1, prototypes=classes)
    )
    model = DualEncoder(config)
    model.band_min.fill_(BANDS[0])
    model.band_max.fill_(BANDS[1])
    model.mel_filters.copy_(torch.from_numpy(mel_filters(config.features)))
    assert model.audio is not None, "the preset hears"
    assert isinstance(model.audio.projection, ClassifierProjection), "as the preset says"
    assert isinstance(model.tags, PrototypeTagEncoder), "as the preset says"
    model.audio.convolutions.load_state_dict(teacher.convolutions)
    layers = (
        (model.audio.projection.hidden, teacher.hidden),
        (model.audio.projection.linear, teacher.output),
    )
    for layer, (weight, bias) in layers:
        layer.load_state_dict({"weight": weight, "bias": bias})
    tags = ["-".join(tokens(name.split(",")[0])) for name in names]
    words = SentenceVectors(list(dict.fromkeys(word for name in names for word in tokens(name))))
    with torch.no_grad():
        keys = words.vectors_of(names) / KEY_TEMPERATURE
        model.tags.prototypes.keys.weight.copy_(torch.from_numpy(keys))
        model.tags.prototypes.values.weight.copy_(torch.eye(classes))
    card = {"preset": config.name, "teacher": {"name": TEACHER_NAME, "licence": TEACHER_LICENCE}}
    return Checkpoint(model, words, list(dict.fromkeys(tags)), card)
