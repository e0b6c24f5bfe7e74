"""What the trainer sees: clips' log-mel frames and tags, drawn into batches.

The order of an epoch is drawn from (seed, epoch), a batch's contents from (seed, epoch, step),
so training goes on at any step as if it had not stopped. Letters: B = batch, T = frames,
F = mels, N = tags, F_w = word size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earmark.model.config import ModelConfig
from earmark.model.core.manifest import ManifestRow
from earmark.model.text.normalize import clean_tags
from earmark.model.text.word_vectors import WordVectors
from earmark.training.distillation.teacher_codes import Knowledge
from earmark.training.features.augmentation import Augmentation, Mixing, at_level, mixed
from earmark.training.features.cache import FeatureSet
from earmark.training.features.loudness import NATS_PER_DECIBEL, below_full
from earmark.training.features.windows import Windows, loudest_starts
from earmark.training.recipe import Recipe

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
    """log_mel [B, T, F] unscaled; words [B, N, F_w] and mask [B, N]; same [B, B] or None.

    `carried` [B, C]: which of the tags that are in use, `every` [C, F_w], a clip carries, those
    that were left out of `words` too; None where no loss asks.
    `codes` [B, V]: what a teacher hears in the windows, without what they were mixed with;
    `alone` [B]: False where that is nearly as loud. Where several processes share a batch,
    `same` and `carried` are those of the whole batch.
    """

    log_mel: Tensor
    words: Tensor
    mask: Tensor
    same: Tensor | None
    codes: Tensor | None = None
    alone: Tensor | None = None
    carried: Tensor | None = None
    every: Tensor | None = None


class TagTable:
    """Word vectors of the tags in use, in the order of `words`, and each clip's rows of it.

    Attributes: `vectors` [tags + 1, F_w], the last one zero for padding; `rows` [clips, most],
    ascending, padded with the last; `counts` [clips].
    """

    def __init__(self, tag_sets: Sequence[Sequence[str]], words: WordVectors) -> None:
        order = {word: number for number, word in enumerate(words.words)}
        known: dict[str, npt.NDArray[np.float32]] = {}
        for tag in dict.fromkeys(tag for tags in tag_sets for tag in tags):
            vector = words.certain_vector(tag)
            if vector is not None:
                known[tag] = vector
        self.tags = sorted(known, key=lambda tag: (order.get(tag, len(order)), tag))
        self.vectors = np.stack(
            [*(known[tag] for tag in self.tags), np.zeros(words.dim, np.float32)]
        )
        row_of = {tag: row for row, tag in enumerate(self.tags)}
        own = [sorted(row_of[tag] for tag in set(tags) if tag in row_of) for tags in tag_sets]
        self.counts = np.array([len(rows) for rows in own], dtype=np.int64)
        self.rows = np.full((len(own), max(1, *self.counts, 1)), len(self.tags), dtype=np.int64)
        for clip, rows in enumerate(own):
            self.rows[clip, : len(rows)] = rows


class TrainingSet:
    """Clips with frames and at least one tag with a vector.

    `numbers`: which of the clips given they are; `groups` [clips given]: the source of each,
    a number.
    """

    def __init__(
        self,
        clips: Sequence[ManifestRow],
        tag_sets: Sequence[Sequence[str]],
        features: FeatureSet,
        words: WordVectors,
        config: ModelConfig,
        knowledge: Knowledge | None = None,
    ) -> None:
        self.knowledge = knowledge
        self._table = TagTable(tag_sets, words)
        self.config = config
        self.features = features
        self.numbers = np.flatnonzero((self._table.counts > 0) & features.ok)
        self.groups = np.unique([clip.group for clip in clips], return_inverse=True)[1]
        self._same_tags = np.unique(
            [" ".join(sorted(tags)) for tags in tag_sets], return_inverse=True
        )[1]
        self._loudest = loudest_starts(features, config.features.frames)
        self._vectors = torch.from_numpy(self._table.vectors)
        self._windows = Windows(features.frames, config.features.frames)

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def _below_full(self) -> npt.NDArray[np.float32]:
        return below_full(self.features)

    def to(self, device: torch.device) -> None:
        """Give batches on `device` from now on; frames and vectors move there where they fit."""
        self._vectors = self._vectors.to(device)
        self._windows = Windows(self.features.frames, self.config.features.frames, device)

    def tag_counts(self, tags: Sequence[str]) -> npt.NDArray[np.int64]:
        """How many of these clips carry each of some tags [tags]."""
        counts = np.bincount(self._table.rows[self.numbers].ravel())
        by_tag = dict(zip(self._table.tags, counts.tolist(), strict=False))
        return np.array([by_tag.get(tag, 0) for tag in tags], dtype=np.int64)

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch: the last short one is dropped (METHOD §4)."""
        return len(self) // min(batch_size, len(self)) if len(self) else 0

    def epoch(
        self, recipe: Recipe, seed: tuple[int, int], first: int = 0, part: tuple[int, int] = (0, 1)
    ) -> Iterator[Batch]:
        """Batches of an epoch from step `first` on; `seed`: (run's seed, epoch).

        `part`: (rank, ranks) of processes that share each batch.
        """
        size = min(recipe.batch_size, len(self))
        order = self._order(recipe, np.random.default_rng(seed))

        def batch(step: int) -> Batch:
            numbers = order[step * size : (step + 1) * size]
            return self.batch(numbers, recipe, np.random.default_rng((*seed, step)), part)

        return self._windows.ahead(batch, range(first, self.steps(size)))

    def _order(self, recipe: Recipe, generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """The clips of an epoch, `len(self)` of them, in the order in which they are shown."""
        if not recipe.balance:
            return generator.permutation(self.numbers)
        groups = self.groups[self.numbers]
        weights = np.bincount(groups)[groups] ** -recipe.balance
        return generator.choice(self.numbers, len(self), p=weights / weights.sum())

    def batch(
        self,
        numbers: npt.NDArray[np.int64],
        recipe: Recipe,
        generator: np.random.Generator,
        part: tuple[int, int] = (0, 1),
    ) -> Batch:
        """The batch of these clips, or a rank's part of it. Plainly shown, nothing is drawn."""
        rank, ranks = part
        share = len(numbers) // ranks
        own = slice(rank * share, (rank + 1) * share)
        # All ranks draw for all rows, so that the batch does not depend on their number.
        starts, codes = self._starts(numbers, recipe, generator)
        mixing = Mixing.draw(len(numbers), recipe.mix, generator)
        drawn = Augmentation.draw(len(numbers), recipe, self.config.features, generator)
        tags, counts = self._joined(numbers, mixing)
        rows = self._tag_rows(tags, counts, recipe, generator)[own]
        device = self._vectors.device
        windows = self._mixed(numbers, starts, mixing, recipe, own)
        log_mel = drawn.apply(windows, own)
        index = torch.from_numpy(rows).to(device, non_blocking=True)
        same = None
        if recipe.exclude_same:
            groups, sets = self.groups[numbers], self._same_tags[numbers]
            same = torch.from_numpy(
                (groups[:, None] == groups[None, :]) & (sets[:, None] == sets[None, :])
            ).to(device, non_blocking=True)
        alone = None
        if codes is not None:
            codes = codes[own].to(device, non_blocking=True)
            single = np.ones(len(numbers), dtype=np.bool_)
            single[mixing.rows[mixing.joins]] = False
            alone = torch.from_numpy(single[own]).to(device, non_blocking=True)
        padding = len(self._vectors) - 1
        carried = every = None
        if recipe.tagwise_weight:
            found = np.zeros((len(numbers), padding + 1), dtype=np.bool_)
            np.put_along_axis(found, tags, True, axis=1)
            carried = torch.from_numpy(found[:, :padding]).to(device, non_blocking=True)
            every = self._vectors[:padding]
        words, mask = self._vectors[index], index != padding
        return Batch(log_mel, words, mask, same, codes, alone, carried, every)

    def _starts(
        self, numbers: npt.NDArray[np.int64], recipe: Recipe, generator: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], Tensor | None]:
        """(first frame of each clip's window, counted in all frames, and the teacher's codes)."""
        first = self.features.offsets[numbers]
        if recipe.patch == "loudest":
            return first + self._loudest[numbers], None
        if self.knowledge is not None:
            known = self.knowledge
            low, high = known.offsets[numbers], known.offsets[numbers + 1]
            chosen = generator.integers(low, high)
            return first + known.starts[chosen], torch.from_numpy(known.codes[chosen]).float()
        lengths = self.features.offsets[numbers + 1] - first
        return first + generator.integers(0, lengths - self.config.features.frames + 1), None

    def _mixed(
        self,
        numbers: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        mixing: Mixing,
        recipe: Recipe,
        own: slice,
    ) -> Tensor:
        """The windows of a rank's rows [B, T, F], at one level where they are to be, mixed."""
        offset = self.config.features.log_offset
        windows = self._windows.take(starts[own])
        if recipe.quieter:
            windows = at_level(windows, self._to_full(numbers[own], windows), offset)
        mine = np.flatnonzero((mixing.rows >= (own.start or 0)) & (mixing.rows < own.stop))
        if len(mine):
            others = mixing.others[mine]
            beneath = self._windows.take(starts[others])
            nats = torch.from_numpy(mixing.decibels[mine] * NATS_PER_DECIBEL)[:, None, None]
            if recipe.quieter:
                nats = nats + self._to_full(numbers[others], beneath).to(nats.device)
            rows = torch.from_numpy(mixing.rows[mine] - own.start).to(windows.device)
            nats = nats.to(windows.device)
            windows[rows] = mixed(windows[rows], beneath, nats, offset)
        return windows

    def _to_full(self, numbers: npt.NDArray[np.int64], like: Tensor) -> Tensor:
        """By how many nats clips must be louder to stand at full level, [B, 1, 1]."""
        return torch.from_numpy(self._below_full[numbers])[:, None, None].to(like.device)

    def _tag_rows(
        self,
        rows: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        recipe: Recipe,
        generator: np.random.Generator,
    ) -> npt.NDArray[np.int64]:
        """Rows of each clip's tags [B, N], dropped or too many ones left out at random.

        As run, the first N in the order of the vocabulary stay.
        """
        most, padding = self.config.tags.max_tags, len(self._vectors) - 1
        there = np.arange(rows.shape[1]) < counts[:, None]
        kept = there
        if recipe.tag_dropout:
            kept = there & (generator.random(rows.shape) >= recipe.tag_dropout)
            spare = generator.integers(0, counts)
            empty = ~kept.any(axis=1)
            kept[empty, spare[empty]] = True
        if not recipe.as_run and (counts > most).any():
            place = generator.random(rows.shape)
        else:
            place = np.broadcast_to(np.arange(rows.shape[1]) / rows.shape[1], rows.shape)
        chosen = np.argsort(np.where(kept, place, 2.0), axis=1, kind="stable")[:, :most]
        picked = np.where(kept, rows, padding)[np.arange(len(rows))[:, None], chosen]
        return np.pad(picked, ((0, 0), (0, most - picked.shape[1])), constant_values=padding)

    def _joined(
        self, numbers: npt.NDArray[np.int64], mixing: Mixing
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(tags of each clip, and of the clip it is mixed with where that joins, how many)."""
        rows, counts = self._table.rows[numbers], self._table.counts[numbers]
        joins = mixing.joins
        if not joins.any():
            return rows, counts
        padding, width = len(self._vectors) - 1, rows.shape[1]
        wide = np.full((len(rows), 2 * width), padding, dtype=np.int64)
        wide[:, :width] = rows
        for row, other in zip(mixing.rows[joins], mixing.others[joins], strict=True):
            both = np.union1d(rows[row, : counts[row]], rows[other, : counts[other]])
            wide[row, : len(both)] = both
        return wide, (wide != padding).sum(axis=1)
