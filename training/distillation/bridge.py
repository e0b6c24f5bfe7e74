"""A model that begins as its teacher: what the teacher hears, said by the names of its classes.

The sound's vector is the teacher's logits, each standardised over the training clips, on their
first D principal axes. A class's direction is its own row of those axes. Prototypes lie where the
class's phrases lie, in all languages, and point in that direction. Letters: n = clips or phrases,
V = size of a code, D = shared dimension, F_w = word dimension, C = classes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from earmark.model.core.arrays import Array
from earmark.model.core.errors import ConfigError
from earmark.model.core.progress import progress
from earmark.model.networks.audio_encoder import AudioEncoder, ClassifierProjection
from earmark.model.networks.prototypes import Prototypes
from earmark.model.networks.tag_encoder import PrototypeTagEncoder
from earmark.training.distillation.efficientat import Teacher

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
    # Vectors of length 1 on average: the perceptron that is added to them need not be large.
    scale = 1 / np.linalg.norm(standard @ directions, axis=1).mean()
    _set(projection.linear.weight, scale * (directions / deviation[:, None]).T @ weight)
    _set(projection.linear.bias, scale * ((bias - mean) / deviation) @ directions)
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True), np.float32)


def _signs(axes: Array) -> Array:
    """A sign for each axis, so that its largest entry is positive: eigenvectors have either."""
    largest = np.abs(axes).argmax(axis=0)
    return np.sign(axes[largest, np.arange(axes.shape[1])])


def _set(parameter: Tensor, values: Array) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def begin_tags(
    tags: PrototypeTagEncoder, vectors: Array, class_of: Array, directions: Array, seed: int
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


def _centres(vectors: Array, class_of: Array, classes: int, count: int, seed: int) -> Array:
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
