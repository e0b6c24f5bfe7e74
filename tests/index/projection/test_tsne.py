"""Layouts: good, the same each time, calm when little changes; and the process that makes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.manifold import trustworthiness

from earmark.index.projection import storage, tsne
from earmark.index.projection.storage import MapLayout
from earmark.index.projection.tsne import Frame
from earmark.index.projection.worker import LOWEST_PRIORITY, LayoutError, LayoutProcess
from earmark.model.core.arrays import Array
from tests.conftest import ROOT

DIM = 24
COORDINATE = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def groups(count: int = 240, kinds: int = 12, seed: int = 0) -> Array:
    """Unit vectors [count, DIM] around as many directions as there are kinds, in turn."""
    generator = np.random.default_rng(seed)
    middles = np.random.default_rng(7).standard_normal((kinds, DIM))
    vectors = middles[np.arange(count) % kinds] + 0.35 * generator.standard_normal((count, DIM))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def layout_of(vectors: Array, generation: int = 3) -> MapLayout:
    positions = tsne.pca_layout(vectors)
    rows = np.arange(len(vectors), dtype=np.int64) * 2
    return MapLayout(
        rows, tsne.vector_hashes(vectors), positions, Frame.around(positions), generation
    )


def test_alike_sounds_lie_together_the_same_way_each_time() -> None:
    vectors = groups(kinds=24)
    positions = tsne.lay_out(vectors)
    assert np.array_equal(positions, tsne.lay_out(vectors))
    assert trustworthiness(vectors, positions, metric="cosine") > 0.98
    assert trustworthiness(vectors, tsne.pca_layout(vectors), metric="cosine") < 0.92
    normalised = Frame.around(positions).normalise(positions)
    assert normalised.min() >= 0
    assert normalised.max() <= 1
    assert np.ptp(normalised, axis=0).max() == pytest.approx(1 - 2 * tsne.MARGIN, abs=1e-4)


def test_when_little_changes_little_moves() -> None:
    vectors = groups()
    old = tsne.lay_out(vectors[:-6])
    start = np.concatenate([old, tsne.place_near_similar(vectors[-6:], vectors[:-6], old)])
    positions = tsne.lay_out(vectors, start)
    frame = Frame.around(old)
    kept = frame.updated_for(positions)
    moved = np.linalg.norm(kept.normalise(positions)[:-6] - frame.normalise(old), axis=1)
    assert np.median(moved) < 0.03
    fresh = tsne.lay_out(vectors)
    assert trustworthiness(vectors, positions) > trustworthiness(vectors, fresh) - 0.02


def test_new_sounds_are_put_beside_those_they_are_like() -> None:
    vectors = groups()
    positions = tsne.lay_out(vectors)
    side = Frame.around(positions).side
    new = tsne.place_near_similar(groups(24, seed=1), vectors, positions)
    nearest = np.array([np.linalg.norm(positions - each, axis=1).argmin() for each in new])
    assert (nearest % 12 == np.arange(24) % 12).mean() > 0.9
    twins = tsne.place_near_similar(vectors[:5], vectors, positions)
    assert np.linalg.norm(twins - positions[:5], axis=1).max() < 0.1 * side
    assert tsne.place_near_similar(vectors[:2], vectors[:0], positions[:0]).tolist() == [
        [0, 0],
        [0, 0],
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 3, tsne.MAX_EXACT, tsne.MAX_EXACT + 1, 40])
@pytest.mark.parametrize("same", [True, False])
def test_few_or_equal_sounds(count: int, same: bool) -> None:
    vectors = np.repeat(groups(1), count, axis=0) if same else groups(count)
    positions = tsne.lay_out(vectors)
    assert positions.shape == (count, 2)
    assert np.isfinite(positions).all()
    normalised = Frame.around(positions).normalise(positions)
    assert np.isfinite(normalised).all()
    if same:
        assert (normalised == 0.5).all()


def test_rough_places_do_not_turn_over() -> None:
    vectors = groups()
    again = tsne.pca_layout(np.concatenate([vectors, groups(3, seed=5)]))[:-3]
    assert np.abs(again - tsne.pca_layout(vectors)).max() < 0.2


@given(
    st.lists(st.tuples(*[COORDINATE] * 2), min_size=1, max_size=20),
    st.lists(st.tuples(*[COORDINATE] * 2), min_size=1, max_size=20),
)
def test_frames_hold_whatever_they_are_around(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    first, second = (np.array(each, np.float32) for each in (one, other))
    frame = Frame.around(first)
    kept = frame.updated_for(second)
    for own, positions in ((frame, first), (kept, second)):
        normalised = own.normalise(positions)
        assert ((normalised >= 0) & (normalised <= 1)).all()
    if kept is frame:  # nobody stands at the edge who would be outside
        assert np.abs(second - [frame.x, frame.y]).max() <= frame.side / 2 * 1.001


def test_hashes_see_every_change() -> None:
    vectors = groups()
    hashes = tsne.vector_hashes(vectors)
    assert len(set(hashes.tolist())) == len(vectors)
    changed = vectors.copy()
    changed[7, 3] = np.nextafter(changed[7, 3], np.float32(2))
    assert np.flatnonzero(tsne.vector_hashes(changed) != hashes).tolist() == [7]
    assert len(tsne.vector_hashes(vectors[:0])) == 0


# The file


def test_a_map_comes_back_to_its_own_library(tmp_path: Path) -> None:
    layout = layout_of(groups())
    storage.save(layout, tmp_path, "mine")
    loaded = storage.load(tmp_path, "mine")
    assert loaded is not None
    assert loaded.matches(layout.rows, layout.hashes)
    assert np.array_equal(loaded.positions, layout.positions)
    assert (loaded.frame, loaded.generation) == (layout.frame, 3)
    assert storage.load(tmp_path, "another's") is None
    assert storage.load(tmp_path / "nowhere", "mine") is None


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_map_is_none(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    storage.save(layout_of(groups(20)), folder, "mine")
    whole = (folder / storage.FILE).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        (folder / storage.FILE).write_bytes(whole[:place])
    else:
        other = bytes([whole[place] ^ data.draw(st.integers(1, 255))])
        (folder / storage.FILE).write_bytes(whole[:place] + other + whole[place + 1 :])
    assert storage.load(folder, "mine") is None


def test_what_a_map_knows() -> None:
    vectors = groups(10)
    layout = layout_of(vectors)
    hashes = layout.hashes.copy()
    hashes[4] += np.uint64(1)
    rows = np.array([0, 3, 8, 10, 99], np.int64)
    found, same = layout.find(rows, hashes[[0, 1, 4, 5, 9]])
    assert same.tolist() == [True, False, False, True, False]
    assert found[same].tolist() == [0, 5]


# The process


def test_the_process_gives_the_same_places_and_is_gone() -> None:
    vectors = groups(60)
    process = LayoutProcess()
    positions = process.lay_out(vectors, None)
    process.close()
    assert np.array_equal(positions, tsne.lay_out(vectors))
    assert not workers(os.getpid())


def workers(process: int) -> list[psutil.Process]:
    """Processes below one that lay out maps."""
    found = []
    for each in psutil.Process(process).children(recursive=True):
        try:
            if "projection.worker" in " ".join(each.cmdline()):
                found.append(each)
        except psutil.NoSuchProcess:
            continue
    return found


def at_work(process: int) -> psutil.Process:
    """The process that lays out, in the middle of its work.

    A busy machine gives it next to no time, once it has the lowest priority: little is enough.
    """
    began: dict[int, float] = {}
    until = time.monotonic() + 240
    while time.monotonic() < until:
        for worker in workers(process):
            if worker.nice() == LOWEST_PRIORITY:
                used = worker.cpu_times().user
                if used > began.setdefault(worker.pid, used) + 0.04:
                    return worker
        time.sleep(0.05)
    raise AssertionError("no process was at work in 240 s")


@pytest.mark.parametrize("how", ["killed", "ended"])
@pytest.mark.slow
def test_a_process_that_ends_amid_its_work_is_an_error(how: str) -> None:
    process = LayoutProcess()
    problems: list[str] = []

    def lay_out() -> None:
        with pytest.raises(LayoutError, match="ended") as caught:
            process.lay_out(groups(4_000), None)
        problems.append(str(caught.value))

    thread = threading.Thread(target=lay_out)
    thread.start()
    worker = at_work(os.getpid())
    if how == "killed":
        worker.kill()
    else:
        process.end()
    thread.join(60)
    process.close()
    assert problems == ["the process that lays out the map ended"]
    assert not workers(os.getpid())


def test_what_cannot_be_laid_out_is_told() -> None:
    process = LayoutProcess()
    with pytest.raises(LayoutError, match="did not converge"):
        process.lay_out(np.full((20, 3), np.nan, np.float32), np.zeros((20, 2), np.float32))
    process.close()


ASKING = """
import numpy as np
from earmark.index.projection.worker import LayoutProcess
LayoutProcess().lay_out(np.random.default_rng(0).standard_normal((4000, 24)).astype("f4"), None)
"""


@pytest.mark.slow
def test_it_does_not_outlive_who_asked() -> None:
    asking = subprocess.Popen([sys.executable, "-c", ASKING], cwd=ROOT)
    worker = at_work(asking.pid)
    asking.send_signal(signal.SIGKILL)
    asking.wait()
    worker.wait(timeout=60)
