"""The split of a corpus: by column, else by group; disjoint and stable."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.manifest import ManifestRow
from training.corpora.manifest import split_clips
from training.errors import CorpusError


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
    _, after = split_clips(rows([*reversed(GROUPS), *(f"new {each}" for each in range(100))]))
    kept = {row.group for row in after if not row.group.startswith("new")}
    assert kept == {row.group for row in before}


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
        (rows(["a"], "test"), "expected train or validation, got 'test' for 0.wav"),
    ],
)
def test_refuses(clips: list[ManifestRow], message: str) -> None:
    with pytest.raises(CorpusError, match=f"split: .*{message}"):
        split_clips(clips)
