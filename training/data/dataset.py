"""Training batches: windows of clips' log-mel frames, and the clips' tags.

An epoch's order is drawn from (seed, epoch) and a batch's contents from (seed, epoch, step), so a
run resumes at any step exactly. Letters: B = batch, T = frames, F = mels, N = tags of a clip,
C = tags in use, F_w = word dimension.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earmark.model.config import ModelConfig
from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow
from earmark.model.core.progress import progress
from earmark.model.embedder import Embedder
from earmark.model.text.normalize import clean_tags
from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.model.text.word_vectors import WordVectors
from earmark.training.data.phrases import ConceptPhrases
from earmark.training.distillation.rehearsal import RehearsedPhrases
from earmark.training.features.augmentation import Augmentation, Mixing, change_level, mix_log_mel
from earmark.training.features.cache import FeatureSet
from earmark.training.features.encode_clips import CLIPS_IN_MEMORY, clip_codes, clip_vectors
from earmark.training.features.loudness import NATS_PER_DECIBEL, gain_to_full_level
from earmark.training.features.windows import FrameWindows, loudest_starts
from earmark.training.recipe import Recipe

REHEARSED_PHRASES = 192  # of the classes in a step, and as many translations of tags
MAX_TAG_SHARE = 0.7  # a tag of more clips than this says nothing (METHOD §3)

Integers = npt.NDArray[np.int64]


def clean_tag_sets(
    clips: Sequence[ManifestRow], words: WordVectors | None = None
) -> list[list[str]]:
    """Each clip's clean tags; with English `words`, a plural becomes only a known singular."""
    return [clean_tags(clip.tags, words) for clip in clips]


def build_vocabulary(tag_sets: Sequence[Sequence[str]], size: int, min_count: int) -> list[str]:
    """The `size` most frequent alphabetic tags of two letters or more (METHOD §3).

    Tags of fewer than `min_count` clips or of more than 70 % of the clips are dropped.
    """
    counts = Counter(tag for tags in tag_sets for tag in set(tags))
    max_count = MAX_TAG_SHARE * len(tag_sets)
    frequent = [
        (tag, count)
        for tag, count in counts.items()
        if min_count <= count <= max_count and len(tag) >= 2 and tag.replace("-", "").isalpha()
    ]
    return [tag for tag, _ in sorted(frequent, key=lambda item: (-item[1], item[0]))[:size]]


@dataclass(frozen=True)
class TrainingBatch:
    """What a training step sees; a field is None where no loss of the recipe needs it.

    `log_mel` [B, T, F]: unscaled; `codes` [B, V]: in its place, where the convolutions that give
    them are fixed; `words` [B, N, F_w] and `mask` [B, N]: the tags' word vectors;
    `false_negatives` [B, B]: clips of one group with the same tags; `all_tags` [C, F_w]: word
    vectors of the tags in use, or of some of them (`Recipe.other_tags`); `has_tag` [B, C]: whether
    a clip has each of these, dropped tags included; `tag_rows` [B, N]: which of them the clip's
    tags are, C where padded; `rehearsed`: a step's phrases of AudioSet's classes.

    Where several processes share a batch, `false_negatives` and `has_tag` are of the whole batch.
    """

    log_mel: Tensor | None
    words: Tensor
    mask: Tensor
    false_negatives: Tensor | None
    codes: Tensor | None = None
    has_tag: Tensor | None = None
    all_tags: Tensor | None = None
    tag_rows: Tensor | None = None
    rehearsed: RehearsedPhrases | None = None


class TagTable:
    """Word vectors of the tags in use, and the rows of each clip's tags.

    Attributes: `tags`, in the order of `words`; `vectors` [C + 1, F_w], the last row zero for
    padding; `rows` [clips, most tags of a clip], ascending, padded with the last row; `counts`
    [clips].
    """

    def __init__(self, tag_sets: Sequence[Sequence[str]], words: WordVectors) -> None:
        order = {word: position for position, word in enumerate(words.words)}
        vectors: dict[str, npt.NDArray[np.float32]] = {}
        distinct = list(dict.fromkeys(tag for tags in tag_sets for tag in tags))
        if isinstance(words, SentenceVectors):
            words.vectors_of(distinct)  # one batch, then single ones from its cache
        for tag in distinct:
            vector = words.certain_vector(tag)
            if vector is not None:
                vectors[tag] = vector
        self.tags = sorted(vectors, key=lambda tag: (order.get(tag, len(order)), tag))
        self.vectors = np.stack(
            [*(vectors[tag] for tag in self.tags), np.zeros(words.dim, np.float32)]
        )
        row_of = {tag: row for row, tag in enumerate(self.tags)}
        rows = [sorted(row_of[tag] for tag in set(tags) if tag in row_of) for tags in tag_sets]
        self.counts = np.array([len(clip_rows) for clip_rows in rows], dtype=np.int64)
        self.rows = np.full((len(rows), max(1, *self.counts, 1)), len(self.tags), dtype=np.int64)
        for clip, clip_rows in enumerate(rows):
            self.rows[clip, : len(clip_rows)] = clip_rows


@dataclass(frozen=True)
class Said:
    """What phrases say the tags in use, and the classes of a teacher."""

    tags: ConceptPhrases
    classes: ConceptPhrases


class TrainingSet:
    """The clips of one side that have frames and at least one tag with a vector.

    `indices`: which of the given clips they are; `groups` [given clips]: a number for each clip's
    group; `said`: phrases, where there are classes to rehearse; `codes` [given clips, V]: of whole
    clips, which batches hold in place of windows where it is set.
    """

    def __init__(
        self,
        clips: Sequence[ManifestRow],
        tag_sets: Sequence[Sequence[str]],
        features: FeatureSet,
        words: WordVectors,
        config: ModelConfig,
        classes: ConceptPhrases | None = None,
    ) -> None:
        """`classes`: phrases of the classes to rehearse, where `words` are of phrases."""
        self._table = TagTable(tag_sets, words)
        self.said: Said | None = None
        self.codes: Array | None = None
        self._code_deviations = np.zeros(0, dtype=np.float32)
        if classes is not None and isinstance(words, SentenceVectors):
            self.said = Said(ConceptPhrases(self._table.tags, words), classes)
        self.config = config
        self.features = features
        self.indices = np.flatnonzero((self._table.counts > 0) & features.readable)
        self.groups = np.unique([clip.group for clip in clips], return_inverse=True)[1]
        self._tag_set_numbers = np.unique(
            [" ".join(sorted(tags)) for tags in tag_sets], return_inverse=True
        )[1]
        self._loudest = loudest_starts(features, config.features.frames)
        self._vectors = torch.from_numpy(self._table.vectors)
        self._windows = FrameWindows(features.frames, config.features.frames)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def device(self) -> torch.device:
        """Where batches are made."""
        return self._vectors.device

    @cached_property
    def _gain_to_full(self) -> npt.NDArray[np.float32]:
        return gain_to_full_level(self.features)

    def to(self, device: torch.device) -> None:
        """Make batches on `device`; frames and vectors move there where they fit."""
        self._vectors = self._vectors.to(device)
        self._windows = FrameWindows(self.features.frames, self.config.features.frames, device)

    def hear(self, embedder: Embedder) -> None:
        """Set `codes`, for a model whose convolutions stay as they are."""
        self.codes = np.zeros((len(self.features), embedder.code_dim), dtype=np.float32)
        with progress("encoding", len(self)) as bar:
            for first in range(0, len(self), CLIPS_IN_MEMORY):
                block = self.indices[first : first + CLIPS_IN_MEMORY]
                self.codes[block] = clip_codes(embedder, self.features, block.tolist())
                bar.step(len(block))
        self._code_deviations = self.codes[self.indices].std(axis=0)

    def vectors(self, embedder: Embedder, indices: Integers) -> Array:
        """Unit embeddings [n, D] of the clips at these indices."""
        if self.codes is not None:
            return embedder.project(self.codes[indices])
        return clip_vectors(embedder, self.features, indices.tolist())

    def tag_counts(self, tags: Sequence[str]) -> Integers:
        """How many of these clips have each of the tags, [tags]."""
        counts = np.bincount(self._table.rows[self.indices].ravel())
        by_tag = dict(zip(self._table.tags, counts.tolist(), strict=False))
        return np.array([by_tag.get(tag, 0) for tag in tags], dtype=np.int64)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches of an epoch; the last, short one is dropped (METHOD §4)."""
        return len(self) // min(batch_size, len(self)) if len(self) else 0

    def batches(
        self,
        recipe: Recipe,
        seed: tuple[int, int],
        first_step: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> Iterator[TrainingBatch]:
        """Batches of an epoch from step `first_step` on.

        `seed`: (the run's seed, epoch). `shard`: (rank, size) of processes that share each batch.
        """
        size = min(recipe.batch_size, len(self))
        order = self._epoch_order(recipe, np.random.default_rng(seed))

        def batch(step: int) -> TrainingBatch:
            indices = order[step * size : (step + 1) * size]
            return self.make_batch(indices, recipe, np.random.default_rng((*seed, step)), shard)

        return self._windows.map_ahead(batch, range(first_step, self.steps_per_epoch(size)))

    def _epoch_order(self, recipe: Recipe, generator: np.random.Generator) -> Integers:
        """The indices of an epoch's clips in order, `len(self)` of them."""
        if not recipe.balance:
            return generator.permutation(self.indices)
        groups = self.groups[self.indices]
        weights = np.bincount(groups)[groups] ** -recipe.balance
        return generator.choice(self.indices, len(self), p=weights / weights.sum())

    def make_batch(
        self,
        indices: Integers,
        recipe: Recipe,
        generator: np.random.Generator,
        shard: tuple[int, int] = (0, 1),
    ) -> TrainingBatch:
        """The batch of these clips, or a process's rows of it.

        Without augmentation, the batch does not depend on the generator.
        """
        rank, size = shard
        rows_of_rank = len(indices) // size
        rows = slice(rank * rows_of_rank, (rank + 1) * rows_of_rank)
        # Each process draws for all rows, so that the batch does not depend on their number.
        starts = self._window_starts(indices, recipe, generator) if self.codes is None else None
        mix = recipe.mix if self.codes is None else 0.0  # codes of two sounds do not add up
        mixing = Mixing.draw(len(indices), mix, generator)
        augmentation = Augmentation.draw(len(indices), recipe, self.config.features, generator)
        tags, counts = self._mixed_tags(indices, mixing)
        tag_rows = self._batch_tags(tags, counts, recipe, generator)[rows]
        log_mel = codes = None
        if self.codes is not None:
            codes = self._to_device(self._noisy_codes(self.codes[indices], recipe, generator)[rows])
        elif starts is not None:
            windows = self._mixed_windows(indices, starts, mixing, recipe, rows)
            log_mel = augmentation.apply(windows, rows)
        tag_index = self._to_device(tag_rows)
        false_negatives = None
        if recipe.exclude_same:
            groups, sets = self.groups[indices], self._tag_set_numbers[indices]
            false_negatives = self._to_device(
                (groups[:, None] == groups[None, :]) & (sets[:, None] == sets[None, :])
            )
        padding = len(self._vectors) - 1
        words, mask = self._vectors[tag_index], tag_index != padding
        batch = TrainingBatch(log_mel, words, mask, false_negatives, codes)
        if recipe.tagwise_weight or self.said is not None:
            table = np.zeros((len(indices), padding + 1), dtype=np.bool_)
            np.put_along_axis(table, tags, True, axis=1)
            batch = self._with_single_tags(batch, table[:, :padding], tag_rows, recipe, generator)
        return batch

    def _with_single_tags(
        self,
        batch: TrainingBatch,
        has_tag: npt.NDArray[np.bool_],
        tag_rows: Integers,
        recipe: Recipe,
        generator: np.random.Generator,
    ) -> TrainingBatch:
        """The batch with what the losses of single tags and of rehearsed phrases need."""
        if self.said is None:
            all_tags = self._vectors[:-1]
            return replace(batch, has_tag=self._to_device(has_tag), all_tags=all_tags)
        said = self.said.tags.draw(recipe.translated, recipe.paraphrased, generator)
        used = has_tag.any(axis=0) | (generator.random(len(said)) < recipe.other_tags)
        row_of = np.append(np.cumsum(used) - 1, used.sum())  # the last one is padding
        return replace(
            batch,
            has_tag=self._to_device(has_tag[:, used]),
            all_tags=self._to_device(self.said.tags.vectors[said[used]]),
            tag_rows=self._to_device(row_of[tag_rows]),
            rehearsed=self._rehearsed(self.said, recipe, generator),
        )

    def _rehearsed(
        self, said: Said, recipe: Recipe, generator: np.random.Generator
    ) -> RehearsedPhrases:
        """A step's phrases: each class in some phrase, random phrases, and translations of tags."""
        classes, tags = said.classes, said.tags
        each = classes.draw(recipe.translated, recipe.paraphrased, generator)
        count = REHEARSED_PHRASES if recipe.translated else 0
        rows = generator.integers(0, len(classes.vectors), count) if count else classes.first
        translations = tags.draw_translations(count, generator)
        originals = tags.first[tags.concept_of[translations]]
        return RehearsedPhrases(
            self._to_device(classes.vectors[each]),
            self._to_device(classes.vectors[rows]),
            self._to_device(classes.concept_of[rows]),
            self._to_device(tags.vectors[translations]),
            self._to_device(tags.vectors[originals]),
        )

    def _noisy_codes(self, codes: Array, recipe: Recipe, generator: np.random.Generator) -> Array:
        if not recipe.code_noise:
            return codes
        noise = generator.standard_normal(codes.shape, dtype=np.float32)
        return np.asarray(codes + recipe.code_noise * self._code_deviations * noise)

    def _to_device(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _window_starts(
        self, indices: Integers, recipe: Recipe, generator: np.random.Generator
    ) -> Integers:
        """The first frame of each clip's window among all frames."""
        first = self.features.offsets[indices]
        if recipe.patch == "loudest":
            return first + self._loudest[indices]
        lengths = self.features.offsets[indices + 1] - first
        return first + generator.integers(0, lengths - self.config.features.frames + 1)

    def _mixed_windows(
        self, indices: Integers, starts: Integers, mixing: Mixing, recipe: Recipe, rows: slice
    ) -> Tensor:
        """A process's windows [B, T, F], at full level with `quieter`, mixed with other clips'."""
        offset = self.config.features.log_offset
        windows = self._windows.take(starts[rows])
        if recipe.quieter:
            windows = change_level(windows, self._full_level_nats(indices[rows], windows), offset)
        local = np.flatnonzero((mixing.rows >= (rows.start or 0)) & (mixing.rows < rows.stop))
        if len(local):
            others = mixing.others[local]
            other_windows = self._windows.take(starts[others])
            nats = torch.from_numpy(mixing.decibels[local] * NATS_PER_DECIBEL)[:, None, None]
            if recipe.quieter:
                full_level = self._full_level_nats(indices[others], other_windows)
                nats = nats + full_level.to(nats.device)
            mixed = torch.from_numpy(mixing.rows[local] - rows.start).to(windows.device)
            nats = nats.to(windows.device)
            windows[mixed] = mix_log_mel(windows[mixed], other_windows, nats, offset)
        return windows

    def _full_level_nats(self, indices: Integers, like: Tensor) -> Tensor:
        """The gain to full level of these clips in nats, [B, 1, 1], on the device of `like`."""
        return torch.from_numpy(self._gain_to_full[indices])[:, None, None].to(like.device)

    def _batch_tags(
        self, rows: Integers, counts: Integers, recipe: Recipe, generator: np.random.Generator
    ) -> Integers:
        """Rows of each clip's tags [B, N], after tag dropout, at most `max_tags` of them.

        Of too many tags, a random part stays; `as_run`, the first in the vocabulary's order.
        """
        max_tags, padding = self.config.tags.max_tags, len(self._vectors) - 1
        present = np.arange(rows.shape[1]) < counts[:, None]
        remaining = present
        if recipe.tag_dropout:
            remaining = present & (generator.random(rows.shape) >= recipe.tag_dropout)
            spare = generator.integers(0, counts)
            empty = ~remaining.any(axis=1)
            remaining[empty, spare[empty]] = True
        if not recipe.as_run and (counts > max_tags).any():
            priority = generator.random(rows.shape)
        else:
            priority = np.broadcast_to(np.arange(rows.shape[1]) / rows.shape[1], rows.shape)
        order = np.argsort(np.where(remaining, priority, 2.0), axis=1, kind="stable")
        chosen = order[:, :max_tags]
        tags = np.where(remaining, rows, padding)[np.arange(len(rows))[:, None], chosen]
        return np.pad(tags, ((0, 0), (0, max_tags - tags.shape[1])), constant_values=padding)

    def _mixed_tags(self, indices: Integers, mixing: Mixing) -> tuple[Integers, Integers]:
        """(rows of each clip's tags and of a nearly as loud clip mixed in, their counts)."""
        rows, counts = self._table.rows[indices], self._table.counts[indices]
        adds_tags = mixing.adds_tags
        if not adds_tags.any():
            return rows, counts
        padding, width = len(self._vectors) - 1, rows.shape[1]
        wide = np.full((len(rows), 2 * width), padding, dtype=np.int64)
        wide[:, :width] = rows
        for row, other in zip(mixing.rows[adds_tags], mixing.others[adds_tags], strict=True):
            union = np.union1d(rows[row, : counts[row]], rows[other, : counts[other]])
            wide[row, : len(union)] = union
        return wide, (wide != padding).sum(axis=1)
