"""Moments of long sounds, by their windows in the store or in the catalogue."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.search import moments as moments_module
from earmark.index.search.moments import MomentFinder
from earmark.index.stores.factory import catch_up
from earmark.index.stores.faiss.store import FaissStore
from tests.index.made import new_clip

LENGTH = 2.5
QUERY = np.array([1, 0, 0, 0], np.float32)


def towards(cosine: float) -> np.ndarray:
    """A unit vector of this cosine with QUERY."""
    return np.array([cosine, np.sqrt(1 - cosine**2), 0, 0], np.float32)


def finder(catalogue: Catalogue, cosines: list[float], own: float = 0.9) -> MomentFinder:
    """Of a library with one clip whose windows, end to end, have these cosines with QUERY, and its
    own vector this one: with the highest it is found as a whole, with the lowest by a window."""
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


def moments_of(finder: MomentFinder) -> list[tuple[float, float, float]]:
    """Start, end and score of each moment of the only clip, rounded."""
    moments = finder.find(finder.catalogue.clips(), QUERY)[1]
    return [(each.start, each.end, round(each.score, 2)) for each in moments]


def test_windows_that_touch_are_one_moment_and_the_best_is_first(catalogue: Catalogue) -> None:
    quiet = [0.0] * 10
    own = finder(catalogue, [*quiet, 0.6, 0.7, *quiet, 0.9, *quiet, 0.8])
    touching = (25.0 + LENGTH / 3, 27.5 + LENGTH * 7 / 9, 0.7)  # of 0.9, they score these shares
    assert moments_of(own) == [(55.0, 57.5, 0.9), (82.5, 84.0, 0.8), pytest.approx(touching)]


def test_a_steady_sound_is_one_moment(catalogue: Catalogue) -> None:
    assert moments_of(finder(catalogue, [0.5] * 20)) == [(0.0, 49.0, 0.5)]


@pytest.mark.parametrize("windows", [990, 1_010, 14_000])
@pytest.mark.parametrize("as_whole", [True, False])
def test_what_lasts_ten_minutes_is_one_moment_in_a_sound_of_any_length(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, windows: int, as_whole: bool
) -> None:
    generator = np.random.default_rng(windows)
    cosines = generator.uniform(-0.2, 0.2, windows)
    cosines[400:640] = generator.uniform(0.5, 0.6, 240)
    own = finder(catalogue, cosines.tolist(), 0.9 if as_whole else -0.9)
    if not as_whole:  # by the rows of the index: the catalogue's windows are not read
        with monkeypatch.context() as patch:
            patch.setattr(Catalogue, "windows", None)
            [(start, end, score)] = moments_of(own)
            assert (start, end) == pytest.approx((1000.0, 1600.0), abs=LENGTH / 2)
        assert own.store.search(QUERY, 1)[1] == pytest.approx([score], abs=0.01)
        own.store.drop()
        assert moments_of(own) == [pytest.approx((start, end, score), abs=0.01)]
    else:  # what stands out is known from the index: it is not computed again
        monkeypatch.setattr(moments_module, "moment_vectors", None)
        expected = (1000.0, 1600.0, float(cosines.max()))
        assert moments_of(own) == [pytest.approx(expected, abs=LENGTH / 2)]


@given(
    cosines=st.lists(st.floats(-1, 1), min_size=1, max_size=30),
    gap=st.sampled_from([0.0, 1.0]),
)
@example(cosines=[0.0, 1e-45, -1.0], gap=0.0)
def test_moments_are_parts_of_the_sound_that_do_not_touch(cosines: list[float], gap: float) -> None:
    starts = (LENGTH + gap) * np.arange(len(cosines))
    duration = float(starts[-1]) + 1.0
    own = MomentFinder(None, None, LENGTH)._merge(  # type: ignore[arg-type]
        starts, np.array(cosines, np.float32), duration
    )
    assert own[0].score == max(each.score for each in own) == float(np.float32(max(cosines)))
    in_order = sorted(own, key=lambda each: each.start)
    assert all(0 <= each.start < each.end <= duration for each in in_order)
    assert all(one.end < other.start for one, other in pairwise(in_order))
