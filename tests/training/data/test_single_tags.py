"""Batches of phrases: the tags that clips are contrasted with, whichever of them are drawn."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.training.data.dataset import TrainingBatch, TrainingSet
from earmark.training.distillation.rehearsal import RehearsedPhrases
from earmark.training.recipe import Recipe
from tests.training.tiny import KINDS, PHRASES, TAGS, sentences, tiny_corpus, tiny_model

PLAIN = PHRASES.without_augmentation()
SHARES = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]) | st.floats(0.0, 1.0)
SEEDS = st.integers(0, 10_000)


@pytest.fixture(scope="module")
def clips() -> TrainingSet:
    """Of a model of phrases, whose clips have three tags each and one in common."""
    return tiny_corpus(tiny_model("starter"), train=9, validation=3).train


def batch_of(clips: TrainingSet, count: int, recipe: Recipe, seed: int) -> TrainingBatch:
    """The first clips, each of its kind: two of them lack some tag."""
    return clips.make_batch(clips.indices[:count], recipe, np.random.default_rng(seed))


def names_of(vectors: torch.Tensor) -> list[str]:
    """The tags that have these word vectors, each said by its own name."""
    words = {sentences().vector(tag).tobytes(): tag for tag in TAGS}
    return [words[row.tobytes()] for row in vectors.numpy()]


def tags_of(count: int) -> list[set[str]]:
    kinds = list(KINDS.values())
    return [set(kinds[number % 3]) for number in range(count)]


def assert_same(one: TrainingBatch | RehearsedPhrases, other: object) -> None:
    for field in fields(one):
        mine, yours = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, RehearsedPhrases):
            assert_same(mine, yours)
        else:
            assert mine is yours is None or torch.equal(mine, yours), field.name


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), SHARES, st.sampled_from([0.0, 0.5, 0.95]), SEEDS)
def test_rows_tags_and_vectors_agree(
    clips: TrainingSet, count: int, share: float, dropout: float, seed: int
) -> None:
    recipe = replace(PLAIN, other_tags=share, tag_dropout=dropout)
    batch = batch_of(clips, count, recipe, seed)
    assert batch.has_tag is not None and batch.all_tags is not None and batch.tag_rows is not None
    names = names_of(batch.all_tags)
    assert len(set(names)) == len(names)
    expected = tags_of(count)
    assert set(names) >= set.union(*expected)  # a clip's own tags are always there
    for clip, row in enumerate(batch.has_tag.tolist()):  # dropped ones included
        assert {name for name, has in zip(names, row, strict=True) if has} == expected[clip]
    assert torch.equal(batch.tag_rows == len(names), ~batch.mask)
    padded = torch.cat([batch.all_tags, torch.zeros(1, batch.all_tags.shape[1])])
    assert torch.equal(padded[batch.tag_rows], batch.words)


@settings(max_examples=25, deadline=None)
@given(SHARES, SEEDS)
def test_a_mixed_clip_has_the_rows_of_both(clips: TrainingSet, share: float, seed: int) -> None:
    recipe = replace(PLAIN, other_tags=share, mix=1.0)
    batch = batch_of(clips, 4, recipe, seed)
    assert batch.has_tag is not None and batch.all_tags is not None and batch.tag_rows is not None
    names, own = names_of(batch.all_tags), tags_of(4)
    for clip, row in enumerate(batch.has_tag.tolist()):
        here = {name for name, has in zip(names, row, strict=True) if has}
        assert here in [own[clip] | other for other in own]
        rows = batch.tag_rows[clip][batch.mask[clip]].tolist()
        assert {names[at] for at in rows} == here


@settings(max_examples=25, deadline=None)
@given(SHARES, SEEDS)
def test_phrases_say_the_tags_that_are_there(clips: TrainingSet, share: float, seed: int) -> None:
    said = clips.said
    assert said is not None
    recipe = replace(PLAIN, other_tags=share)
    plain = batch_of(clips, 2, recipe, seed)
    other = batch_of(clips, 2, replace(recipe, translated=0.5, paraphrased=0.8), seed)
    assert plain.all_tags is not None and other.all_tags is not None
    assert torch.equal(plain.has_tag, other.has_tag)
    assert torch.equal(plain.tag_rows, other.tag_rows)
    for name, vector in zip(names_of(plain.all_tags), other.all_tags.numpy(), strict=True):
        phrases = said.tags.vectors[said.tags.concept_of == TAGS.index(name)]
        assert (phrases == vector).all(axis=1).any(), name


def test_the_share_of_other_tags() -> None:
    """None, some or all of the tags that no clip has."""
    clips = tiny_corpus(tiny_model("starter"), train=9, validation=3).train
    for share in (0.0, 0.3, 1.0):
        recipe = replace(PLAIN, other_tags=share)
        others = [len(batch_of(clips, 1, recipe, seed).all_tags) - 3 for seed in range(200)]
        expected = share * (len(TAGS) - 3)
        assert np.mean(others) == pytest.approx(expected, abs=0.3 * (0 < share < 1))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), SHARES, st.floats(0.0, 1.0), SEEDS)
def test_without_augmentation_all_tags_are_there(
    clips: TrainingSet, count: int, share: float, translated: float, seed: int
) -> None:
    recipe = replace(PHRASES, other_tags=share, translated=translated).without_augmentation()
    batch = batch_of(clips, count, recipe, seed)
    assert batch.all_tags is not None
    assert sorted(names_of(batch.all_tags)) == TAGS
    assert_same(batch, batch_of(clips, count, recipe, seed + 1))


@settings(max_examples=20, deadline=None)
@given(SHARES, st.floats(0.0, 1.0), st.floats(0.0, 0.9), SEEDS)
def test_a_seed_gives_the_same_batch(
    clips: TrainingSet, share: float, translated: float, dropout: float, seed: int
) -> None:
    recipe = replace(PHRASES, other_tags=share, translated=translated, tag_dropout=dropout)
    assert_same(batch_of(clips, 2, recipe, seed), batch_of(clips, 2, recipe, seed))


@pytest.mark.parametrize("ranks", [2, 4])
def test_processes_contrast_with_the_same_tags(clips: TrainingSet, ranks: int) -> None:
    recipe, indices = replace(PHRASES, other_tags=0.4), clips.indices[[0, 1, 3, 4]]
    whole = clips.make_batch(indices, recipe, np.random.default_rng(3))
    parts = [
        clips.make_batch(indices, recipe, np.random.default_rng(3), (rank, ranks))
        for rank in range(ranks)
    ]
    assert whole.all_tags is not None and len(whole.all_tags) < len(TAGS)
    assert torch.equal(torch.cat([part.tag_rows for part in parts]), whole.tag_rows)
    for part in parts:
        assert torch.equal(part.all_tags, whole.all_tags)
        assert torch.equal(part.has_tag, whole.has_tag)
