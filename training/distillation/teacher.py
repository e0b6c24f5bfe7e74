"""aiSFX, a network trained on many sound effects, as the starter model's teacher.

Ma and Lerch, "Representation Learning for the Automatic Indexing of Sound Effects Libraries"
(ISMIR 2022), CC BY 4.0; the package `aisfx` on PyPI holds its weights. Only its encoder is read:
eight convolutions as `model.networks.audio_encoder` builds them ("pooled"), with a code of 512
values. Letters: F = mels.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earmark.model.config import AudioConfig, ModelConfig, preset
from earmark.model.core.arrays import Array
from earmark.model.networks.audio_encoder import AudioEncoder
from earmark.training.errors import TrainingError

TEACHER_NAME = "aisfx 0.1.2"
TEACHER_LICENCE = "CC-BY-4.0"
TEACHER_SHA256 = (
    "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5"  # of the checkpoint
)
MEMBER = "aisfx/models/checkpoint.pth"  # of the wheel
CHANNELS = (64, 64, 128, 128, 256, 256, 512, 512)
LOG_MEL_RANGE = 9.457798957824707 * float(np.log(10))  # nats, which scale to 1
TEACHER_FEATURES = preset("starter").features


def scaler_bands() -> tuple[Array, Array]:
    """Band minima and maxima [F] of the scaler that gives the teacher's own input.

    Its input is log10(10⁴ x + 1) over a fixed range.
    """
    low = np.full(TEACHER_FEATURES.n_mels, np.log(TEACHER_FEATURES.log_offset), dtype=np.float32)
    return low, low + np.float32(LOG_MEL_RANGE)


def read_teacher(path: Path) -> AudioEncoder:
    """The teacher of a wheel, or of the checkpoint in it, in evaluation mode.

    No code of the file is run. Raises TrainingError when it is missing, damaged or another file.
    """
    data = _read_checkpoint(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != TEACHER_SHA256:
        raise TrainingError(
            f"--teacher: {path}: expected the checkpoint of {TEACHER_NAME} "
            f"(SHA-256 {TEACHER_SHA256[:12]}…), got {sha256[:12]}…"
        )
    weights = _load_weights(data, path)
    teacher = AudioEncoder(_config())
    state = dict(teacher.convolutions.state_dict())
    layers = [index for index, layer in enumerate(teacher.convolutions) if hasattr(layer, "weight")]
    names = [
        f"embedding_net.conv_block{block}.{kind}{number}"
        for block in range(1, 5)
        for number in (1, 2)
        for kind in ("conv", "bn")
    ]
    for layer, name in zip(layers, names, strict=True):
        keys = {key.removeprefix(f"{layer}.") for key in state if key.startswith(f"{layer}.")}
        state |= {f"{layer}.{key}": weights[f"{name}.{key}"] for key in keys}
    teacher.convolutions.load_state_dict(state)
    return teacher.eval()


def _config() -> ModelConfig:
    audio = AudioConfig("pooled", CHANNELS, dropout=0.0, layer_norm=False, decoder=False)
    return ModelConfig(name="aisfx", dim=1, features=TEACHER_FEATURES, audio=audio)


def _read_checkpoint(path: Path) -> bytes:
    try:
        if path.suffix != ".whl":
            return path.read_bytes()
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"--teacher: {path}: expected the wheel of {TEACHER_NAME} or its checkpoint, "
            f"got {error}"
        ) from error


def _load_weights(data: bytes, path: Path) -> dict[str, Tensor]:
    """The state dictionary. The file also holds names of data sets with numpy integers."""
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    safe: list[Any] = [
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        type(np.dtype(np.int64)),
    ]
    try:
        with torch.serialization.safe_globals(safe):
            weights, _ = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TrainingError(f"--teacher: {path}: holds more than plain parameters") from error
    state: dict[str, Tensor] = weights
    return state
