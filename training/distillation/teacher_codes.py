"""What a teacher hears in a corpus: its code of windows of every clip, computed once, resumable.

Windows stand on a grid of half their length, and one at the end of the clip. Each clip is
brought to one level first.
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
from earmark.training.distillation.teacher import FEATURES, NAME, bands
from earmark.training.features import shards
from earmark.training.features.augmentation import at_level
from earmark.training.features.cache import FeatureSet
from earmark.training.features.loudness import below_full

BATCH = 64


@dataclass(frozen=True)
class Knowledge:
    """Codes [W, V] of windows that begin at frames `starts` [W] of their clip; clip i has the
    windows offsets[i] to offsets[i + 1].
    """

    codes: npt.NDArray[np.float16]
    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]

    @property
    def width(self) -> int:
        """V, the size of the teacher's code."""
        return int(self.codes.shape[1])

    def moments(self, numbers: npt.NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation [V] of the codes of these clips' first windows."""
        codes = self.codes[self.offsets[numbers]].astype(np.float32)
        return torch.from_numpy(codes.mean(axis=0)), torch.from_numpy(codes.std(axis=0) + 0.05)


def grid(length: int, size: int) -> npt.NDArray[np.int64]:
    """First frames of the windows of a clip of `length` frames."""
    last = max(0, length - size)
    return np.unique(np.append(np.arange(0, last + 1, size // 2), last)).astype(np.int64)


def heard(
    teacher: AudioEncoder, features: FeatureSet, cache: Path, *, mixed: bool = False
) -> Knowledge:
    """The teacher's codes of all clips of features made by its FEATURES, from the cache where
    they are. `mixed`: computed in bfloat16 where torch finds it safe.
    """
    size = FEATURES.frames
    lengths = np.diff(features.offsets)
    grids = [grid(length, size) if length else np.zeros(0, np.int64) for length in lengths.tolist()]
    folder = shards.made_folder(cache / f"teacher-{_key(features, mixed)}")
    below = below_full(features)
    codes = []
    with progress("teacher", len(features)) as shown:
        for shard, clips in shards.parts(folder, len(features)):
            if not shards.is_whole(shard):
                starts = np.concatenate([features.offsets[clip] + grids[clip] for clip in clips])
                louder = np.concatenate([np.full(len(grids[clip]), below[clip]) for clip in clips])
                made = _codes(teacher, features, starts, louder, mixed)
                shards.save(shard, {"codes": made})
            with np.load(shard, allow_pickle=False) as data:
                codes.append(data["codes"])
            shown.step(len(clips))
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in grids])]).astype(np.int64)
    return Knowledge(np.concatenate(codes), np.concatenate(grids), offsets)


def _key(features: FeatureSet, mixed: bool) -> str:
    digest = hashlib.sha256(f"{NAME} {mixed}".encode())
    digest.update(features.offsets.tobytes())
    digest.update(np.ascontiguousarray(features.frames).data)
    return digest.hexdigest()[:16]


def _codes(
    teacher: AudioEncoder,
    features: FeatureSet,
    starts: npt.NDArray[np.int64],
    louder: npt.NDArray[np.float32],
    mixed: bool,
) -> npt.NDArray[np.float16]:
    """Codes [n, V] of the windows at these frames of all frames, made louder by so many nats."""
    low, high = (torch.from_numpy(edge) for edge in bands())
    made = np.zeros((len(starts), teacher.width), np.float16)
    for first in range(0, len(starts), BATCH):
        part = slice(first, first + BATCH)
        windows = np.stack([features.frames[at : at + FEATURES.frames] for at in starts[part]])
        nats = torch.from_numpy(louder[part].astype(np.float32))[:, None, None]
        log_mel = at_level(torch.from_numpy(windows).float(), nats, FEATURES.log_offset)
        patches = ((log_mel - low) / (high - low)).clamp(min=0)[:, None]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            codes = teacher.encode(patches.contiguous(memory_format=torch.channels_last))
        made[part] = codes.half().numpy()
    return made
