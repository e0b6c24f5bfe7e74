"""The split of a corpus: by column, else by group or stratified; disjoint and stable."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.core.manifest import ManifestRow
from earmark.training.corpora.split import held_out_clips, split_clips
from earmark.training.errors import CorpusError
from tests.conftest import ROOT


def rows(groups: list[str], split: str = "") -> list[ManifestRow]:
    return [
        ManifestRow(Path(f"{number}.wav"), group=group, split=split)
        for number, group in enumerate(groups)
    ]


GROUPS = [f"group {number % 80}" for number in range(400)]


def test_groups_never_stand_on_both_sides() -> None:
    train, validation = split_clips(rows(GROUPS))
    assert len(train) + len(validation) == 400
    assert not {row.group for row in train} & {row.group for row in validation}
    assert 0.03 < len(validation) / 400 < 0.3


def test_more_sounds_move_no_group() -> None:
    _, before = split_clips(rows(GROUPS))
    _, after = split_clips(rows([*reversed(GROUPS), *(f"new {number}" for number in range(100))]))
    stable = {row.group for row in after if not row.group.startswith("new")}
    assert stable == {row.group for row in before}


def test_the_split_is_the_same_for_ever() -> None:
    """Figures of models trained years apart are comparable only while these stay."""
    _, validation = split_clips(rows([f"g{number}" for number in range(30)]))
    assert [row.group for row in validation] == ["g4", "g9", "g10", "g15", "g20"]


def test_the_column_wins_over_the_group() -> None:
    clips = [*rows(["a", "b", "c"], "train"), *rows(["a"], "validation")]
    train, validation = split_clips(clips)
    assert (train, validation) == (clips[:3], clips[3:])


@given(st.lists(st.text(max_size=5), min_size=1, max_size=30))
def test_any_groups_are_split_or_refused(groups: list[str]) -> None:
    try:
        train, validation = split_clips(rows(groups))
    except CorpusError:
        return
    assert train
    assert validation
    assert sorted(row.path.name for row in (*train, *validation)) == sorted(
        f"{number}.wav" for number in range(len(groups))
    )


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (rows(["a", "b"], "train"), "got 2 and 0 of 2 groups"),
        (rows(["a"], "validation"), "got 0 and 1 of 1 groups"),
        ([], "got 0 and 0 of 0 groups"),
        (rows(["a"], "dev"), "expected train, validation or test, got 'dev' for 0.wav"),
    ],
)
def test_refuses(clips: list[ManifestRow], message: str) -> None:
    with pytest.raises(CorpusError, match=f"split: .*{message}"):
        split_clips(clips)


def tagged(seed: int, groups: int = 400, tags: int = 24) -> list[ManifestRow]:
    """One to three clips a group, with one or two of the group's tags, some rarer than others."""
    generator = np.random.default_rng(seed)
    names = [f"tag{number}" for number in range(tags)]
    weights = 1 / np.sqrt(np.arange(1, tags + 1))
    clips = []
    for group in range(groups):
        count = generator.integers(1, 4)
        group_tags = generator.choice(names, size=count, replace=False, p=weights / weights.sum())
        clips += [(str(group), generator.permutation(group_tags)[:2]) for _ in range(count)]
    return [
        ManifestRow(Path(f"{number}.wav"), tuple(map(str, clip_tags)), group=group)
        for number, (group, clip_tags) in enumerate(clips)
    ]


def groups_of(clips: list[ManifestRow]) -> set[str]:
    return {clip.group for clip in clips}


def stratified(clips: list[ManifestRow], seed: int = 0) -> tuple[list[ManifestRow], ...]:
    return split_clips(clips, "stratified", seed)


def same_groups(clips: list[ManifestRow], seed: int) -> set[str]:
    """Groups that validate, having seen that they do not train too."""
    train, validation = (groups_of(side) for side in stratified(clips, seed))
    assert not train & validation
    assert train | validation == groups_of(clips)
    return validation


def ties() -> list[ManifestRow]:
    """Two clips a group with four tags each, of 300 that are about equally frequent."""
    drawn = np.random.default_rng(0).integers(300, size=(600, 4))
    return [
        ManifestRow(Path("a.wav"), tuple(f"tag{tag}" for tag in tags), group=str(number // 2))
        for number, tags in enumerate(drawn)
    ]


# Prints which groups validate, by three seeds.
PRINT_SPLITS = """
from tests.training.corpora.test_split import same_groups, ties
print(*(sorted(same_groups(ties(), seed)) for seed in range(3)))
"""


class TestStratified:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("corpus", range(4))
    def test_a_tenth_of_the_groups_and_of_each_tags(self, corpus: int, seed: int) -> None:
        clips = tagged(corpus)
        held_out = same_groups(clips, seed)
        assert 0.08 < len(held_out) / 400 < 0.12
        checked = 0
        for tag in {tag for clip in clips for tag in clip.tags}:
            with_tag = {clip.group for clip in clips if tag in clip.tags}
            if len(with_tag) >= 20:
                checked += 1
                assert 0.04 < len(with_tag & held_out) / len(with_tag) < 0.18, tag
        assert checked > 15

    def test_clips_keep_their_order(self) -> None:
        clips = tagged(0)
        train, validation = stratified(clips)
        held_out = groups_of(validation)
        assert train == [clip for clip in clips if clip.group not in held_out]
        assert validation == [clip for clip in clips if clip.group in held_out]

    def test_a_seed_gives_the_same_split(self) -> None:
        clips = tagged(1)
        assert same_groups(clips, 5) == same_groups(clips, 5)
        assert same_groups(clips, 5) != same_groups(clips, 6)

    def test_every_process_splits_alike(self) -> None:
        """Else a resumed run, or an evaluation, would ask for what has been learnt.

        Python orders a set of texts differently in each process.
        """
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", PRINT_SPLITS],
                env={**os.environ, "PYTHONHASHSEED": hashed},
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            for hashed in ("1", "2")
        ]
        first, second = (process.communicate(timeout=120)[0] for process in processes)
        assert first == second
        assert len(first.split()) > 60

    def test_the_column_wins(self) -> None:
        clips = tagged(2)
        held_out = same_groups(clips, 0)
        filled = [
            replace(clip, split="train") if clip.group in held_out else clip for clip in clips
        ]
        train, validation = stratified(filled)
        assert held_out <= groups_of(train)
        assert not groups_of(train) & groups_of(validation)
        assert 0.05 < len(groups_of(validation)) / (400 - len(held_out)) < 0.15
        every = [replace(clip, split=("train", "validation")[clip.group < "2"]) for clip in clips]
        train, validation = stratified(every)
        assert all(clip.group >= "2" for clip in train)
        assert all(clip.group < "2" for clip in validation)

    @pytest.mark.parametrize("groups", [2, 3, 10, 25])
    @pytest.mark.parametrize("tags", [["rain"], ["rain", "wind"]], ids=["one tag", "two tags"])
    def test_few_groups_that_are_all_alike(self, groups: int, tags: list[str]) -> None:
        clips = [replace(clip, tags=tuple(tags)) for clip in tagged(0, groups)]
        assert len(same_groups(clips, 0)) == math.ceil(groups / 10)

    @pytest.mark.parametrize(
        ("clips", "message"),
        [
            (tagged(0, 1), "got 3 and 0 of 1 groups"),
            ([], "got 0 and 0 of 0 groups"),
            (rows(["a", "b"], "validation"), "got 0 and 2 of 2 groups"),
            ([*tagged(0), *rows(["a"], "dev")], "expected train, validation or test, got 'dev'"),
        ],
        ids=["one group", "no clips", "all validate", "unknown"],
    )
    def test_refuses(self, clips: list[ManifestRow], message: str) -> None:
        with pytest.raises(CorpusError, match=f"split: .*{message}"):
            stratified(clips)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(
            st.builds(
                ManifestRow,
                path=st.just(Path("a.wav")),
                tags=st.lists(st.text(max_size=2), max_size=4).map(tuple),
                group=st.text("abcdefgh", max_size=2),
                split=st.sampled_from(["", "", "", "train", "validation"]),
            ),
            max_size=40,
        ),
        st.integers(),
    )
    def test_any_clips_are_split_or_refused(self, clips: list[ManifestRow], seed: int) -> None:
        numbered = [replace(clip, path=Path(f"{number}.wav")) for number, clip in enumerate(clips)]
        try:
            train, validation = stratified(numbered, seed)
        except CorpusError:
            return
        assert train
        assert validation
        assert sorted(map(repr, (*train, *validation))) == sorted(map(repr, numbered))
        assert all(clip.split != "validation" for clip in train)
        if any(clip.split != "train" for clip in numbered):
            assert all(clip.split != "train" for clip in validation)
        drawn = (
            groups_of([clip for clip in side if not clip.split]) for side in (train, validation)
        )
        assert not set.intersection(*drawn)


def test_tags_of_few_groups_do_not_decide() -> None:
    rows = [
        ManifestRow(
            Path(f"{number}.wav"), ("all", f"t{number % 4}", f"only{number}"), group=str(number)
        )
        for number in range(400)
    ]
    _, validation = split_clips(rows, "stratified")
    counts = [sum(f"t{kind}" in row.tags for row in validation) for kind in range(4)]
    assert all(8 <= count <= 12 for count in counts)


@pytest.mark.parametrize("by", ["groups", "stratified"])
def test_test_clips_are_on_neither_side(by: str) -> None:
    """As in GTZAN and NSynth: only train and test are assigned."""
    trained, tested = rows(GROUPS, "train"), rows(["other"] * 9, "test")
    train, validation = split_clips([*tested, *trained], by)
    assert 0.03 < len(validation) / 400 < 0.3
    assert len(train) + len(validation) == 400
    assert all(row.split == "train" for row in (*train, *validation))
    chosen = rows(["v"], "validation")
    assert split_clips([*tested, *trained, *chosen], by) == (trained, chosen)


@pytest.mark.parametrize("by", ["groups", "stratified"])
def test_a_group_follows_those_of_it_that_have_a_side(by: str) -> None:
    decided = [*rows(["g1", "g2"], "train"), *rows(["g3", "g4"], "validation")]
    open_ones = rows(["g1", "g2", "g3", "g4"] * 20)
    train, validation = split_clips([*decided, *open_ones], by)
    assert {row.group for row in train} == {"g1", "g2"}
    assert {row.group for row in validation} == {"g3", "g4"}


@pytest.mark.parametrize("count", [2, 5, 9, 12, 25])
def test_few_groups_are_stratified_too(count: int) -> None:
    clips = [
        ManifestRow(Path(f"{number}.wav"), (f"t{number % 4}", f"only{number}"), group=str(number))
        for number in range(count)
    ]
    for seed in range(10):
        train, validation = split_clips(clips, "stratified", seed)
        assert train
        assert 1 <= len(validation) <= max(1, count // 3)


def test_held_out_are_the_groups_that_validated_the_model_else_those_of_the_hash() -> None:
    """Also when the corpus has grown since."""
    clips = [ManifestRow(Path(f"{number}.wav"), ("t",), group=str(number)) for number in range(120)]
    held_out, which = held_out_clips({"validation_groups": ["3", "7", "x"]}, clips)
    assert [clip.group for clip in held_out] == ["3", "7"]
    assert "validated the model" in which
    for card in ({}, {"validation_groups": ["x"]}):
        held_out, which = held_out_clips(card, clips)
        assert held_out == split_clips(clips)[1]
        assert "hash" in which
