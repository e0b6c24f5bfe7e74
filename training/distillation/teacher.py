"""aiSFX, a network that knows many sounds, as the starter model's teacher.

Ma and Lerch, "Representation Learning for the Automatic Indexing of Sound Effects Libraries"
(ISMIR 2022), CC BY 4.0; the package `aisfx` on PyPI brings its weights. Only the part that hears
is read: eight convolutions as `model.networks.audio_encoder` builds them ("pooled"), whose code has
512 values.
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

NAME = "aisfx 0.1.2"
LICENCE = "CC-BY-4.0"
SHA256 = "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5"  # of the checkpoint
MEMBER = "aisfx/models/checkpoint.pth"  # of the wheel
CHANNELS = (64, 64, 128, 128, 256, 256, 512, 512)
SPAN = 9.457798957824707 * float(np.log(10))  # what it divides log-mel by, in nats
FEATURES = preset("starter").features


def bands() -> tuple[Array, Array]:
    """Band minima and maxima [F] of the scaler that brings log-mel to what it was trained on:
    log10(10⁴ x + 1) over a fixed span.
    """
    low = np.full(FEATURES.n_mels, np.log(FEATURES.log_offset), dtype=np.float32)
    return low, low + np.float32(SPAN)


def read_teacher(path: Path) -> AudioEncoder:
    """The teacher of a wheel or of the checkpoint in it, in evaluation mode; nothing is run.

    Raises TrainingError where it is missing, damaged or another.
    """
    data = _checkpoint(path)
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise TrainingError(
            f"--teacher: {path}: expected the checkpoint of {NAME} (SHA-256 {SHA256[:12]}…), "
            f"got {found[:12]}…"
        )
    weights = _weights(data, path)
    teacher = AudioEncoder(_config())
    state = dict(teacher.convolutions.state_dict())
    places = [place for place, layer in enumerate(teacher.convolutions) if hasattr(layer, "weight")]
    names = [
        f"embedding_net.conv_block{block}.{kind}{number}"
        for block in range(1, 5)
        for number in (1, 2)
        for kind in ("conv", "bn")
    ]
    for place, name in zip(places, names, strict=True):
        own = {key.removeprefix(f"{place}.") for key in state if key.startswith(f"{place}.")}
        state |= {f"{place}.{key}": weights[f"{name}.{key}"] for key in own}
    teacher.convolutions.load_state_dict(state)
    return teacher.eval()


def _config() -> ModelConfig:
    audio = AudioConfig("pooled", CHANNELS, dropout=0.0, layer_norm=False, decoder=False)
    return ModelConfig(name="aisfx", dim=1, features=FEATURES, audio=audio)


def _checkpoint(path: Path) -> bytes:
    try:
        if path.suffix != ".whl":
            return path.read_bytes()
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"--teacher: {path}: expected the wheel of {NAME} or its checkpoint, got {error}"
        ) from error


def _weights(data: bytes, path: Path) -> dict[str, Tensor]:
    """Its state dictionary; what stands beside it are names of data sets with numpy integers."""
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    plain: list[Any] = [
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        type(np.dtype(np.int64)),
    ]
    try:
        with torch.serialization.safe_globals(plain):
            weights, _ = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TrainingError(f"--teacher: {path}: holds more than plain parameters") from error
    state: dict[str, Tensor] = weights
    return state
