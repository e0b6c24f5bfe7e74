"""Moments of long sounds: by all windows, and by the nearest ones where there are very many."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.search import moments
from earmark.index.search.moments import MomentFinder
from earmark.index.stores.factory import catch_up
from earmark.index.stores.faiss.store import FaissStore
from tests.index.made import new_clip

LENGTH = 2.5
QUERY = np.array([1, 0, 0, 0], np.float32)


def towards(cosine: float) -> np.ndarray:
    """A unit vector of this cosine with QUERY."""
    return np.array([cosine, np.sqrt(1 - cosine**2), 0, 0], np.float32)


def finder(catalogue: Catalogue, cosines: list[float], own: float = 0.0) -> MomentFinder:
    """Of a library with one clip whose windows, end to end, have these cosines with QUERY."""
    with catalogue.write() as writer:
        writer.put(
            new_clip(
                vector=towards(own),
                windows=np.stack([towards(cosine) for cosine in cosines]),
                starts=LENGTH * np.arange(len(cosines)),
                duration=LENGTH * len(cosines) - 1.0,
            )
        )
    store = FaissStore(catalogue.meta("library"), 4)
    catch_up(store, catalogue)
    return MomentFinder(catalogue, store, LENGTH)


def found(finder: MomentFinder) -> list[tuple[float, float, float]]:
    """Start, end and score of each moment of the only clip, rounded."""
    moments = finder.find(finder.catalogue.clips(), QUERY)[1]
    return [(each.start, each.end, round(each.score, 2)) for each in moments]


def test_windows_that_touch_are_one_moment_and_the_best_is_first(catalogue: Catalogue) -> None:
    quiet = [0.0] * 10
    own = finder(catalogue, [*quiet, 0.6, 0.7, *quiet, 0.9, *quiet, 0.8])
    assert found(own) == [(55.0, 57.5, 0.9), (82.5, 84.0, 0.8), (25.0, 30.0, 0.7)]


def test_a_steady_sound_is_one_moment(catalogue: Catalogue) -> None:
    assert found(finder(catalogue, [0.5] * 20)) == [(0.0, 49.0, 0.5)]


def test_of_very_many_windows_the_nearest_tell(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    cosines = [0.0] * 200
    cosines[20:22], cosines[100], cosines[150] = [0.7, 0.6], 0.9, 0.8
    own = finder(catalogue, cosines)
    expected = found(own)
    assert expected == [(250.0, 252.5, 0.9), (375.0, 377.5, 0.8), (50.0, 55.0, 0.7)]
    monkeypatch.setattr(moments, "MANY_WINDOWS", 100)
    monkeypatch.setattr(Catalogue, "windows", None)  # they are not read
    assert found(own) == expected


def test_a_clip_that_the_store_does_not_hold_yet_is_looked_up(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = finder(catalogue, [0.0, 0.9, 0.0, 0.0])
    monkeypatch.setattr(moments, "MANY_WINDOWS", 2)
    own.store.drop()
    assert found(own) == [(2.5, 5.0, 0.9)]


@given(
    cosines=st.lists(st.floats(-1, 1), min_size=1, max_size=30),
    level=st.floats(-1, 1),
    gap=st.sampled_from([0.0, 1.0]),
)
def test_moments_are_parts_of_the_sound_that_do_not_touch(
    cosines: list[float], level: float, gap: float
) -> None:
    starts = (LENGTH + gap) * np.arange(len(cosines))
    duration = float(starts[-1]) + 1.0
    own = MomentFinder(None, None, LENGTH)._merge(  # type: ignore[arg-type]
        starts, np.array(cosines, np.float32), level, duration
    )
    assert own[0].score == max(each.score for each in own) == float(np.float32(max(cosines)))
    in_order = sorted(own, key=lambda each: each.start)
    assert all(0 <= each.start < each.end <= duration for each in in_order)
    assert all(one.end < other.start for one, other in pairwise(in_order))
