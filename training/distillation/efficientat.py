"""EfficientAT mn04_as, a small network trained on AudioSet, as the starter model's teacher.

Schmid, Koutini and Widmer, "Efficient Large-Scale Audio Tagging via Transformer-To-CNN Knowledge
Distillation" (ICASSP 2023), MIT. Its file is a state dict; no code of it is run. Letters: V = size
of a code.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from earmark.model.core.arrays import Array
from earmark.training.errors import TrainingError

TEACHER_NAME = "EfficientAT mn04_as"
TEACHER_LICENCE = "MIT"
TEACHER_SHA256 = "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c"
BANDS = (-4.5, 0.5)  # log-mel values that its scaler takes to 0 and 1


@dataclass(frozen=True)
class Teacher:
    """`convolutions`: parameters of a MobileNet of width 0.4; `hidden` and `output`: weights and
    biases of the classifier's layers [512, V], [512] and [527, 512], [527]."""

    convolutions: dict[str, Tensor]
    hidden: tuple[Tensor, Tensor]
    output: tuple[Tensor, Tensor]

    def hidden_values(self, codes: Array) -> Array:
        """Codes z_a [n, V] → values [n, 512] of the classifier's hidden layer."""
        values = functional.hardswish(functional.linear(torch.from_numpy(codes), *self.hidden))
        return np.asarray(values.numpy(), dtype=np.float32)

    def logits(self, codes: Array) -> Array:
        """Codes z_a [n, V] → logits [n, 527] of AudioSet's classes."""
        hidden = torch.from_numpy(self.hidden_values(codes))
        return np.asarray(functional.linear(hidden, *self.output).numpy(), dtype=np.float32)


def read_teacher(path: Path) -> Teacher:
    """The teacher of its authors' file. Raises TrainingError for a missing or another file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"--teacher: {path}: cannot be read ({error.strerror})") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != TEACHER_SHA256:
        raise TrainingError(
            f"--teacher: {path}: expected {TEACHER_NAME} (SHA-256 {TEACHER_SHA256[:12]}…), "
            f"got {sha256[:12]}…"
        )
    try:
        weights: dict[str, Tensor] = torch.load(io.BytesIO(data), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise TrainingError(f"--teacher: {path}: damaged ({error})") from error
    return Teacher(
        {
            _name(name): _turned(tensor)
            for name, tensor in weights.items()
            if name.startswith("features.")
        },
        (weights["classifier.2.weight"], weights["classifier.2.bias"]),
        (weights["classifier.5.weight"], weights["classifier.5.bias"]),
    )


def _name(name: str) -> str:
    """A parameter's name in `model.networks.mobilenet`."""
    return name.removeprefix("features.").replace("conc_se_layers.0.", "")


def _turned(tensor: Tensor) -> Tensor:
    """Kernels over bands and frames → over frames and bands, as our patches lie."""
    return tensor.transpose(2, 3).contiguous() if tensor.ndim == 4 else tensor
