"""What the trainer sees: clips' log-mel frames and tags, drawn into batches.

Everything drawn comes from a generator seeded by (seed, epoch), so an epoch can be repeated
after an interruption. Letters: B = batch, T = frames, F = mels, N = tags, F_w = word size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.cleanup import clean_tags
from model.config import ModelConfig
from model.features import loudest_patch
from model.manifest import ManifestRow
from model.words import WordVectors
from training.prepare import FeatureSet
from training.recipe import Recipe

COMMON_SHARE = 0.7  # a tag in more clips than this tells nothing (METHOD §3)


def clean_tag_sets(
    clips: Sequence[ManifestRow], words: WordVectors | None = None
) -> list[list[str]]:
    """Each clip's clean tags; with general `words`, plurals go only to a known singular."""
    return [clean_tags(clip.tags, words) for clip in clips]


def build_vocabulary(tag_sets: Sequence[Sequence[str]], size: int, min_count: int) -> list[str]:
    """The `size` most frequent alphabetic tags of two letters or more (METHOD §3).

    Dropped: tags in fewer than `min_count` clips or in more than 70 % of them.
    """
    counts = Counter(tag for tags in tag_sets for tag in set(tags))
    most = COMMON_SHARE * len(tag_sets)
    kept = [
        (tag, count)
        for tag, count in counts.items()
        if min_count <= count <= most and len(tag) >= 2 and tag.replace("-", "").isalpha()
    ]
    return [tag for tag, _ in sorted(kept, key=lambda item: (-item[1], item[0]))[:size]]


@dataclass(frozen=True)
class Batch:
    """log_mel [B, T, F] unscaled; words [B, N, F_w] and mask [B, N]; same [B, B] or None."""

    log_mel: Tensor
    words: Tensor
    mask: Tensor
    same: Tensor | None


class TagTable:
    """Word vectors of the tags in use, and each clip's rows of it."""

    def __init__(self, tag_sets: Sequence[Sequence[str]], words: WordVectors) -> None:
        self.tags: list[str] = []
        vectors: list[npt.NDArray[np.float32]] = []
        rows: dict[str, int] = {}
        for tag in dict.fromkeys(tag for tags in tag_sets for tag in tags):
            vector = words.certain_vector(tag)
            if vector is not None:
                rows[tag] = len(vectors)
                vectors.append(vector)
                self.tags.append(tag)
        self.vectors = np.stack([*vectors, np.zeros(words.dim, np.float32)])
        self.clips = [
            np.array([rows[tag] for tag in tags if tag in rows], dtype=np.int64)
            for tags in tag_sets
        ]


class TrainingSet:
    """Clips with frames and at least one tag with a vector."""

    def __init__(
        self,
        clips: Sequence[ManifestRow],
        tag_sets: Sequence[Sequence[str]],
        features: FeatureSet,
        words: WordVectors,
        config: ModelConfig,
    ) -> None:
        table = TagTable(tag_sets, words)
        usable = [
            number for number, rows in enumerate(table.clips) if len(rows) and features.ok[number]
        ]
        self.config = config
        self.features = features
        self.numbers = np.array(usable, dtype=np.int64)
        self._vectors = torch.from_numpy(table.vectors)
        self._rows = table.clips
        self._groups = np.unique([clip.group for clip in clips], return_inverse=True)[1]
        self._same_tags = np.unique(
            [" ".join(sorted(tags)) for tags in tag_sets], return_inverse=True
        )[1]
        frames = config.features.frames
        self._loudest = {
            number: loudest_patch(features.clip(number).astype(np.float32), frames)
            for number in usable
        }

    def __len__(self) -> int:
        return len(self.numbers)

    def frames(self) -> npt.NDArray[np.float16]:
        """All frames [n, F] of all clips."""
        return self.features.frames

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch: the last short one is dropped (METHOD §4)."""
        return len(self) // min(batch_size, len(self)) if len(self) else 0

    def epoch(self, recipe: Recipe, generator: np.random.Generator) -> Iterator[Batch]:
        """Batches of one epoch, in an order and with draws given by the generator."""
        size = min(recipe.batch_size, len(self))
        order = generator.permutation(self.numbers)
        for start in range(0, len(order) - size + 1, size):
            yield self.batch(order[start : start + size], recipe, generator)

    def batch(
        self, numbers: npt.NDArray[np.int64], recipe: Recipe, generator: np.random.Generator
    ) -> Batch:
        """The batch of these clips. With an all-zero augmentation nothing is drawn."""
        log_mel = np.stack([self._patch(number, recipe, generator) for number in numbers])
        words, mask = self._words(numbers, recipe, generator)
        same = None
        if recipe.exclude_same:
            groups, tags = self._groups[numbers], self._same_tags[numbers]
            same = torch.from_numpy(
                (groups[:, None] == groups[None, :]) & (tags[:, None] == tags[None, :])
            )
        return Batch(torch.from_numpy(log_mel), words, mask, same)

    def _patch(
        self, number: int, recipe: Recipe, generator: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        """One window [T, F] of a clip, augmented."""
        frames, size = self.features.clip(number), self.config.features.frames
        if recipe.patch == "loudest":
            start = self._loudest[number]
        else:
            start = int(generator.integers(0, len(frames) - size + 1))
        patch = frames[start : start + size].astype(np.float32)
        floor = np.float32(np.log(self.config.features.log_offset))
        if recipe.gain:
            patch = np.maximum(patch + generator.uniform(-recipe.gain, recipe.gain), floor)
        for axis, widest in enumerate((recipe.mask_frames, recipe.mask_mels)):
            if widest:
                width = int(generator.integers(0, widest + 1))
                first = int(generator.integers(0, patch.shape[axis] - width + 1))
                stretch = slice(first, first + width)
                patch[stretch if axis == 0 else (slice(None), stretch)] = floor
        return patch.astype(np.float32)

    def _words(
        self, numbers: npt.NDArray[np.int64], recipe: Recipe, generator: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Word vectors of each clip's tags; more than N, or dropped ones, drawn at random."""
        most, padding = self.config.tags.max_tags, len(self._vectors) - 1
        rows = np.full((len(numbers), most), padding, dtype=np.int64)
        for place, number in enumerate(numbers):
            own = self._rows[number]
            if recipe.tag_dropout:
                kept = own[generator.random(len(own)) >= recipe.tag_dropout]
                own = kept if len(kept) else own[[generator.integers(len(own))]]
            if len(own) > most:
                own = generator.permutation(own)[:most]
            rows[place, : len(own)] = own
        index = torch.from_numpy(rows)
        return self._vectors[index], index != padding
