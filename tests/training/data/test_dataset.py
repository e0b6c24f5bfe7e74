"""Training batches: vocabulary, windows, tags, augmentation; all drawn from one generator."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.model.audio.log_mel import loudest_patch
from earmark.model.core.manifest import ManifestRow
from earmark.model.text.word_vectors import WordVectors
from earmark.training.data.dataset import (
    TagTable,
    TrainingBatch,
    TrainingSet,
    build_vocabulary,
    clean_tag_sets,
)
from earmark.training.features.cache import FeatureSet
from earmark.training.recipe import Recipe
from tests.training.tiny import (
    KINDS,
    QUICK,
    TAGS,
    features_of,
    tiny_corpus,
    tiny_model,
    tiny_rows,
    words_of,
)

PLAIN = QUICK.without_augmentation()
HERE = Path("nowhere")


@pytest.fixture(scope="module")
def clips() -> TrainingSet:
    return tiny_corpus(tiny_model()).train


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestVocabulary:
    def test_frequent_first_then_alphabetic(self) -> None:
        sets = [["rain", "wind"], ["wind"], ["sea", "rain"], ["dog"], ["sea"], ["wind"], ["x"]]
        assert build_vocabulary(sets, 10, 1) == ["wind", "rain", "sea", "dog"]
        assert build_vocabulary(sets, 2, 1) == ["wind", "rain"]
        assert build_vocabulary(sets, 10, 2) == ["wind", "rain", "sea"]

    def test_only_letters_two_or_more(self) -> None:
        sets = [["a", "ab", "808", "mp3", "hi-hat", "рок"], ["zz"]]
        assert set(build_vocabulary(sets, 10, 1)) == {"ab", "hi-hat", "рок", "zz"}

    def test_tags_in_more_than_seven_of_ten_are_left_out(self) -> None:
        sets = [["all", "seven"] if number < 7 else ["all"] for number in range(10)]
        assert build_vocabulary(sets, 10, 1) == ["seven"]

    def test_a_tag_counts_once_a_clip(self) -> None:
        assert build_vocabulary([["rain", "rain"], ["dog"]], 10, 2) == []


def test_tags_are_cleaned() -> None:
    rows = [ManifestRow(Path("a"), ("Dogs", "the", "Rain")), ManifestRow(Path("b"), ("caceres",))]
    assert clean_tag_sets(rows) == [["dog", "rain"], ["cacere"]]
    words = WordVectors(["dog", "rain"], np.eye(2, dtype=np.float32))
    assert clean_tag_sets(rows, words) == [["dog", "rain"], ["caceres"]]


def test_tag_table_leaves_out_what_has_no_vector() -> None:
    words = WordVectors(["dog", "rain"], np.eye(2, dtype=np.float32))
    table = TagTable([["rain", "xyzzy"], [], ["dog", "rain"]], words)
    assert table.tags == ["dog", "rain"]
    assert table.rows.tolist() == [[1, 2], [2, 2], [0, 1]]
    assert table.counts.tolist() == [1, 0, 2]
    assert table.vectors.tolist() == [[1, 0], [0, 1], [0, 0]]


def test_clips_without_sound_or_known_tags_are_left_out() -> None:
    config = tiny_model()
    rows = tiny_rows(Path("x"), 4, 0)
    readable = features_of(rows[:3], config.features)
    offsets = np.append(readable.offsets, readable.offsets[-1])  # the fourth has no frames
    features = FeatureSet(readable.frames, offsets, {"3": "broken"})
    tags = [["tone"], ["xyzzy"], ["click"], ["hiss"]]
    clips = TrainingSet(rows, tags, features, words_of(config.tags.word_dim), config)
    assert clips.indices.tolist() == [0, 2]


def test_without_augmentation_nothing_is_drawn(clips: TrainingSet) -> None:
    indices = clips.indices[:6]
    one = clips.make_batch(indices, PLAIN, generator(1))
    other = clips.make_batch(indices, PLAIN, generator(2))
    assert torch.equal(one.log_mel, other.log_mel)
    assert torch.equal(one.words, other.words)
    assert torch.equal(one.mask, other.mask)
    assert one.log_mel.shape == (6, 112, 96)
    assert one.words.shape == (6, 10, 16)
    assert one.log_mel.dtype == one.words.dtype == torch.float32


def test_a_seed_gives_the_same_epoch(clips: TrainingSet) -> None:
    first, again, other = (list(clips.batches(QUICK, (seed, 0))) for seed in (1, 1, 2))
    assert len(first) == clips.steps_per_epoch(QUICK.batch_size) == 3
    for one, two, three in zip(first, again, other, strict=True):
        assert torch.equal(one.log_mel, two.log_mel)
        assert torch.equal(one.words, two.words)
        assert not torch.equal(one.log_mel, three.log_mel)


# All augmentation, and false negatives, on clips with room for a window to move.
DRAWN = replace(QUICK, exclude_same=True)


@pytest.fixture(scope="module")
def long_clips() -> TrainingSet:
    config = tiny_model()
    config = replace(config, features=replace(config.features, min_seconds=6.0))
    return tiny_corpus(replace(config, tags=replace(config.tags, max_tags=2))).train


def assert_same(one: TrainingBatch, other: TrainingBatch) -> None:
    for field in fields(TrainingBatch):
        mine, yours = getattr(one, field.name), getattr(other, field.name)
        assert mine is yours is None or torch.equal(mine, yours), field.name


@pytest.mark.parametrize("first", [0, 1, 3, 4])
def test_an_epoch_goes_on_where_it_stopped(long_clips: TrainingSet, first: int) -> None:
    recipe = replace(DRAWN, batch_size=7)
    whole = list(long_clips.batches(recipe, (3, 5)))
    rest = list(long_clips.batches(recipe, (3, 5), first_step=first))
    assert len(whole) == 4
    assert len(rest) == 4 - first
    for one, other in zip(whole[first:], rest, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("ranks", [1, 2, 5, 10])
def test_the_parts_of_a_batch_are_the_batch(long_clips: TrainingSet, ranks: int) -> None:
    whole = list(long_clips.batches(DRAWN, (3, 5)))
    parts = [list(long_clips.batches(DRAWN, (3, 5), shard=(rank, ranks))) for rank in range(ranks)]
    for batch, *shards in zip(whole, *parts, strict=True):
        assert all(len(part.log_mel) == 10 // ranks for part in shards)
        for name in ("log_mel", "words", "mask"):
            joined = torch.cat([getattr(part, name) for part in shards])
            assert torch.equal(joined, getattr(batch, name)), name
        assert batch.false_negatives.shape == (10, 10)
        assert all(torch.equal(part.false_negatives, batch.false_negatives) for part in shards)


def test_the_last_short_batch_is_dropped(clips: TrainingSet) -> None:
    recipe = replace(PLAIN, batch_size=8)
    batches = list(clips.batches(recipe, (0, 0)))
    assert [len(batch.mask) for batch in batches] == [8, 8, 8]
    assert clips.steps_per_epoch(8) == 3
    assert clips.steps_per_epoch(1000) == 1
    [whole] = clips.batches(replace(PLAIN, batch_size=1000), (0, 0))
    assert len(whole.mask) == 30


def test_an_epoch_shows_every_clip_once(clips: TrainingSet) -> None:
    batches = list(clips.batches(PLAIN, (0, 0)))
    sums = torch.cat([batch.log_mel.sum(dim=(1, 2)) for batch in batches])
    expected = clips.make_batch(clips.indices, PLAIN, generator()).log_mel.sum(dim=(1, 2))
    torch.testing.assert_close(sums.sort().values, expected.sort().values)


@pytest.mark.parametrize(("balance", "share"), [(0.0, 10 / 30), (0.5, 10**0.5), (1.0, 1.0)])
def test_large_groups_may_weigh_less(balance: float, share: float) -> None:
    if balance:
        share /= share + 20  # of 20 clips that are a group each
    rows = [replace(row, group="tones") if row.label == "tone" else row for row in tiny_rows(HERE)]
    rows = [row for row in rows if row.split == "train"]
    words, config = WordVectors.one_hot(TAGS), tiny_model()
    features = features_of(rows, config.features)
    clips = TrainingSet(rows, clean_tag_sets(rows), features, words, config)
    recipe = replace(PLAIN, balance=balance)
    batches = [batch for epoch in range(40) for batch in clips.batches(recipe, (0, epoch))]
    tones = torch.cat([batch.words[:, :, TAGS.index("tone")].amax(dim=1) for batch in batches])
    assert len(tones) == 40 * 30
    assert abs(tones.mean().item() - share) < (0.06 if balance else 1e-6)


def test_the_loudest_patch_or_any() -> None:
    config = tiny_model()
    config = replace(config, features=replace(config.features, min_seconds=6.0))
    clips = tiny_corpus(config).train
    frames = clips.features.clip(2).astype(np.float32)
    start = loudest_patch(frames, 112)
    [patch] = clips.make_batch(np.array([2]), PLAIN, generator()).log_mel
    np.testing.assert_array_equal(patch, frames[start : start + 112])
    anywhere = replace(PLAIN, patch="random")
    drawn = {
        float(clips.make_batch(np.array([2]), anywhere, generator(seed)).log_mel.sum())
        for seed in range(60)
    }
    assert len(drawn) > 6


def test_gain_shifts_a_patch_and_keeps_the_floor(clips: TrainingSet) -> None:
    indices = np.array([0])
    recipe = replace(PLAIN, gain=2.0)
    [plain] = clips.make_batch(indices, PLAIN, generator()).log_mel
    floor = np.log(clips.config.features.log_offset)
    for seed in range(8):
        [louder] = clips.make_batch(indices, recipe, generator(seed)).log_mel
        assert float(louder.min()) >= floor - 1e-4
        above = (plain > floor + 10) & (louder > floor + 10)
        assert above.any()
        shift = (louder - plain)[above]
        assert float(shift.std()) < 1e-3
        assert abs(float(shift.mean())) <= 2


@pytest.mark.parametrize(("field", "axis"), [("mask_frames", 0), ("mask_mels", 1)])
def test_masks_are_one_stretch_of_floor(clips: TrainingSet, field: str, axis: int) -> None:
    indices, recipe = np.array([1]), replace(PLAIN, **{field: 20})
    [plain] = clips.make_batch(indices, PLAIN, generator()).log_mel.numpy()
    floor = np.float32(np.log(clips.config.features.log_offset))
    widths = set()
    for seed in range(15):
        [masked] = clips.make_batch(indices, recipe, generator(seed)).log_mel.numpy()
        changed = np.flatnonzero((masked != plain).any(axis=1 - axis))
        widths.add(len(changed))
        if len(changed):
            assert changed[-1] - changed[0] < 20
            np.testing.assert_array_equal(np.take(masked, changed, axis), floor)
    assert len(widths) > 3


def test_tag_dropout_keeps_at_least_one(clips: TrainingSet) -> None:
    recipe = replace(PLAIN, tag_dropout=0.9)
    counts = np.concatenate(
        [
            clips.make_batch(clips.indices, recipe, generator(seed)).mask.sum(dim=1).numpy()
            for seed in range(5)
        ]
    )
    assert counts.min() == 1
    assert counts.mean() < 1.5
    all_tags = clips.make_batch(clips.indices, PLAIN, generator())
    assert (all_tags.mask.sum(dim=1) == 3).all()


def test_words_are_the_clips_tags_and_zero_where_padded(clips: TrainingSet) -> None:
    words = words_of(16)
    batch = clips.make_batch(clips.indices[:3], PLAIN, generator())
    for row, kind in enumerate(KINDS):
        expected = np.stack([words.vector(tag) for tag in TAGS if tag in KINDS[kind]])
        np.testing.assert_array_equal(batch.words[row, :3], expected)
        assert float(batch.words[row, 3:].abs().max()) == 0


def test_more_tags_than_fit_are_drawn() -> None:
    config = tiny_model()
    clips = tiny_corpus(replace(config, tags=replace(config.tags, max_tags=2))).train
    drawn = [clips.make_batch(np.array([0]), PLAIN, generator(seed)) for seed in range(10)]
    assert all(batch.mask.tolist() == [[True, True]] for batch in drawn)
    assert len({float(batch.words.sum()) for batch in drawn}) > 1


def test_as_run_the_first_tags_of_the_vocabulary_are_taken() -> None:
    config = tiny_model()
    config = replace(config, tags=replace(config.tags, max_tags=2))
    rows = tiny_rows(Path("x"), 3, 0)
    names = TAGS[::-1]  # the vocabulary's order is not the alphabet's
    words = WordVectors(names, words_of(16).vectors[::-1])
    tags = [list(tags) for tags in clean_tag_sets(rows)]
    clips = TrainingSet(rows, tags, features_of(rows, config.features), words, config)
    recipe = replace(PLAIN, as_run=True)
    for seed in range(5):
        batch = clips.make_batch(np.arange(3), recipe, generator(seed))
        assert batch.mask.all()
        for row, clip_tags in enumerate(tags):
            first = sorted(clip_tags, key=names.index)[:2]
            np.testing.assert_array_equal(batch.words[row], [words.vector(tag) for tag in first])


def test_false_negatives_are_clips_of_one_group_with_the_same_tags() -> None:
    config = tiny_model()
    rows = [
        ManifestRow(row.path, row.tags, group=group, label=row.label)
        for row, group in zip(tiny_rows(Path("x"), 5, 0), "aaaba", strict=True)
    ]
    words = words_of(config.tags.word_dim)
    features = features_of(rows, config.features)
    clips = TrainingSet(rows, clean_tag_sets(rows), features, words, config)
    recipe = Recipe(exclude_same=True)
    same = clips.make_batch(np.arange(5), recipe, generator()).false_negatives
    assert same.diagonal().all()
    assert torch.equal(same, same.T)
    assert same[1, 4]  # one group, the same tags
    assert not same[0, 2]  # 0 and 2: one group, other tags
    assert not same[1, 3]  # nothing in common
    assert clips.make_batch(np.arange(5), PLAIN, generator()).false_negatives is None


def test_has_tag_covers_all_tags_of_a_clip_and_of_a_mixed_in_clip() -> None:
    """Dropped tags included."""
    config = tiny_model()
    rows = tiny_rows(Path("x"), 24, 0)
    words, sets = words_of(config.tags.word_dim), clean_tag_sets(rows)
    clips = TrainingSet(rows, sets, features_of(rows, config.features), words, config)
    indices, table = np.arange(24), TagTable(sets, words)
    assert clips.make_batch(indices, PLAIN, generator()).has_tag is None
    recipe = replace(QUICK, tagwise_weight=1.0, tag_dropout=0.9)
    batch = clips.make_batch(indices, recipe, generator())
    assert batch.all_tags is not None
    np.testing.assert_array_equal(batch.all_tags, table.vectors[:-1])
    assert batch.has_tag is not None
    unmixed = np.array([[tag in tags for tag in table.tags] for tags in sets])
    np.testing.assert_array_equal(batch.has_tag, unmixed)
    mixed = clips.make_batch(indices, replace(recipe, mix=1.0), generator()).has_tag
    assert mixed is not None
    joined = mixed.numpy()
    assert (joined >= unmixed).all()
    assert joined.sum() > unmixed.sum()
    for row in joined:  # the tags of one or of two clips
        assert any((row == (one | other)).all() for one in unmixed for other in unmixed)
