"""The teacher's codes of windows of every clip of a corpus, computed once, resumable.

Windows start at multiples of half their length, and one ends with the clip. Each clip is first
brought to full level. Letters: W = windows, V = size of the teacher's code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from earmark.model.core.progress import progress
from earmark.model.networks.audio_encoder import AudioEncoder
from earmark.training.distillation.teacher import TEACHER_FEATURES, TEACHER_NAME, scaler_bands
from earmark.training.features import shards
from earmark.training.features.augmentation import change_level
from earmark.training.features.cache import FeatureSet
from earmark.training.features.loudness import gain_to_full_level

BATCH_WINDOWS = 64


@dataclass(frozen=True)
class TeacherCodes:
    """Codes [W, V] of windows; `starts` [W]: a window's first frame in its clip; clip i has the
    windows offsets[i] to offsets[i + 1].
    """

    codes: npt.NDArray[np.float16]
    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]

    @property
    def code_dim(self) -> int:
        """V, the size of the teacher's code."""
        return int(self.codes.shape[1])

    def statistics(self, indices: npt.NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean, standard deviation + 0.05) [V] of the codes of these clips' first windows."""
        codes = self.codes[self.offsets[indices]].astype(np.float32)
        return torch.from_numpy(codes.mean(axis=0)), torch.from_numpy(codes.std(axis=0) + 0.05)


def window_starts(length: int, size: int) -> npt.NDArray[np.int64]:
    """First frames of the windows of `size` frames over a clip of `length` frames."""
    last = max(0, length - size)
    return np.unique(np.append(np.arange(0, last + 1, size // 2), last)).astype(np.int64)


def compute_teacher_codes(
    teacher: AudioEncoder, features: FeatureSet, cache: Path, *, mixed_precision: bool = False
) -> TeacherCodes:
    """The teacher's codes of all clips; computes those that the cache lacks.

    `features` must be made with TEACHER_FEATURES. `mixed_precision`: in bfloat16 where torch finds
    it safe.
    """
    size = TEACHER_FEATURES.frames
    starts = [
        window_starts(length, size) if length else np.zeros(0, np.int64)
        for length in np.diff(features.offsets).tolist()
    ]
    folder = shards.make_folder(cache / f"teacher-{_cache_key(features, mixed_precision)}")
    gain = gain_to_full_level(features)
    codes = []
    with progress("teacher", len(features)) as bar:
        for shard, clips in shards.shard_files(folder, len(features)):
            if not shards.is_complete(shard):
                frames = np.concatenate([features.offsets[clip] + starts[clip] for clip in clips])
                gains = np.concatenate([np.full(len(starts[clip]), gain[clip]) for clip in clips])
                shard_codes = _encode_windows(teacher, features, frames, gains, mixed_precision)
                shards.save(shard, {"codes": shard_codes})
            with np.load(shard, allow_pickle=False) as data:
                codes.append(data["codes"])
            bar.step(len(clips))
    counts = [len(clip_starts) for clip_starts in starts]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return TeacherCodes(np.concatenate(codes), np.concatenate(starts), offsets)


def _cache_key(features: FeatureSet, mixed_precision: bool) -> str:
    digest = hashlib.sha256(f"{TEACHER_NAME} {mixed_precision}".encode())
    digest.update(features.offsets.tobytes())
    digest.update(np.ascontiguousarray(features.frames).data)
    return digest.hexdigest()[:16]


def _encode_windows(
    teacher: AudioEncoder,
    features: FeatureSet,
    frames: npt.NDArray[np.int64],
    gains: npt.NDArray[np.float32],
    mixed_precision: bool,
) -> npt.NDArray[np.float16]:
    """Codes [W, V] of the windows that begin at these `frames`, made louder by `gains` nats."""
    low, high = (torch.from_numpy(edge) for edge in scaler_bands())
    codes = np.zeros((len(frames), teacher.width), np.float16)
    for first in range(0, len(frames), BATCH_WINDOWS):
        batch = slice(first, first + BATCH_WINDOWS)
        windows = np.stack(
            [features.frames[start : start + TEACHER_FEATURES.frames] for start in frames[batch]]
        )
        nats = torch.from_numpy(gains[batch].astype(np.float32))[:, None, None]
        log_mel = change_level(torch.from_numpy(windows).float(), nats, TEACHER_FEATURES.log_offset)
        patches = ((log_mel - low) / (high - low)).clamp(min=0)[:, None]
        patches = patches.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=mixed_precision):
            batch_codes = teacher.encode(patches)
        codes[batch] = batch_codes.half().numpy()
    return codes
