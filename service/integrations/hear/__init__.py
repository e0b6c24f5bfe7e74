"""HEAR's common API for sounds, of any encoder: `earmark.hear`.

`load_model`, `get_scene_embeddings` and `get_timestamp_embeddings` as
https://hearbenchmark.com/hear-api.html has them. Embeddings are codes z_a, which classify better
than vectors of the shared space (docs/conventions.md). Each sound is encoded by itself, so that it
has the same embeddings alone and in a batch. Axes: n = sounds, T = timestamps, V = audio code.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from earmark.model.audio.decode import ArrayReader
from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.sound_text_model import embed_sound

SAMPLE_RATES = (16_000, 22_050, 44_100, 48_000)  # Hz, that HEAR's validator accepts
USUAL_RATE = 48_000  # Hz, of HEAR's data
INTERVAL = 0.05  # seconds between timestamps, that HEAR suggests
MAX_PASSES = 8  # over a sound: an encoder of long steps has timestamps that are further apart


class HearModel(torch.nn.Module):
    """An encoder as HEAR knows models. It computes on the device that the module is moved to.

    `path`: a model's file or folder; the model that ships for None. `sample_rate`: in Hz, of the
    audio that it takes: the encoder's own where HEAR's validator accepts that, else 48 kHz, and
    sounds are resampled. Raises as `load_embedder`, and ConfigError if it cannot embed sounds.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self._path = path
        self._embedder, self._device = load_embedder(path), torch.device("cpu")
        self._embedder.require_audio()
        # Nothing but a place: it moves with the module.
        self.register_buffer("place", torch.zeros(0), persistent=False)
        own = self._embedder.front_end.sample_rate
        self.sample_rate = own if own in SAMPLE_RATES else USUAL_RATE
        self.scene_embedding_size = self.timestamp_embedding_size = self._embedder.code_dim

    @property
    def embedder(self) -> Embedder:
        """The encoder, on the module's device. Raises ConfigError if it cannot compute there."""
        device = self.get_buffer("place").device
        if device != self._device:
            self._embedder, self._device = load_embedder(self._path, str(device)), device
        return self._embedder


def load_model(model_file_path: str = "") -> HearModel:
    """The model in a file or folder; the one that ships for "". Raises as `HearModel`."""
    return HearModel(Path(model_file_path) if model_file_path else None)


def get_scene_embeddings(audio: torch.Tensor, model: HearModel) -> torch.Tensor:
    """Sounds [n, samples] at the model's rate → the code [n, V] of each: its windows' mean.

    On the audio's device. Raises InputError for other shapes, and AudioError for what is no sound.
    """
    codes = [embed_sound(model.embedder, reader).code for reader in _readers(audio, model)]
    return torch.from_numpy(_stacked(codes, model.scene_embedding_size)).to(audio.device)


def get_timestamp_embeddings(
    audio: torch.Tensor, model: HearModel
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sounds [n, samples] at the model's rate → (codes [n, T, V], their times [n, T] in ms).

    A code is of the encoder's step around its time. Times begin at 0 and are at most 50 ms apart,
    or an eighth of a step where that is more. On the audio's device. Raises as
    `get_scene_embeddings`.
    """
    embedder = model.embedder
    passes = min(MAX_PASSES, math.ceil(embedder.step_seconds / INTERVAL - 1e-9))
    interval = embedder.step_seconds / passes
    readers = _readers(audio, model)
    count = max(math.ceil(audio.shape[1] / model.sample_rate / interval - 1e-6), 1)
    codes = [
        _codes_at(embedder, np.concatenate(list(reader.blocks())), passes, count)
        for reader in readers
    ]
    times = torch.arange(count, dtype=torch.float64) * (1_000 * interval)
    found = _stacked(codes, count, model.timestamp_embedding_size)
    return (
        torch.from_numpy(found).to(audio.device),
        times.float().repeat(len(codes), 1).to(audio.device),
    )


def _readers(audio: torch.Tensor, model: HearModel) -> list[ArrayReader]:
    """One of each sound, at the encoder's rate."""
    if not isinstance(audio, torch.Tensor):
        raise InputError(f"audio: expected a tensor, got {type(audio).__name__}")
    if audio.ndim != 2 or not audio.is_floating_point():
        raise InputError(
            f"audio: expected floating samples, n_sounds x n_samples, "
            f"got {audio.dtype} of shape {tuple(audio.shape)}"
        )
    own = model.embedder.front_end.sample_rate
    return [
        ArrayReader(sound, model.sample_rate, own, f"sound {number}")
        for number, sound in enumerate(audio.detach().float().cpu().numpy())
    ]


def _codes_at(embedder: Embedder, samples: Array, passes: int, count: int) -> Array:
    """The codes [count, V] around times that are a step / `passes` apart.

    Each pass hears the sound shifted a little, so that its steps, but for the first, lie around
    other times; before and after the sound is silence, up to whole windows.
    """
    rate = embedder.front_end.sample_rate
    window = round(embedder.front_end.window_seconds * rate)
    codes = np.empty((count, embedder.code_dim), dtype=np.float32)
    for number in range(min(passes, count)):
        lead = round((1.5 - number / passes) * embedder.step_seconds * rate)
        padded = np.pad(samples, (lead, -(lead + len(samples)) % window))
        blocks = embedder.windows(ArrayReader(padded, rate, rate))
        places = codes[number::passes]
        places[:] = embedder.encode_sound_steps(blocks)[1 : 1 + len(places)]
    return codes


def _stacked(codes: list[Array], *shape: int) -> Array:
    """Codes of sounds as one array, also of none."""
    return np.stack(codes) if codes else np.zeros((0, *shape), dtype=np.float32)
