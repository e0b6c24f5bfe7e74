"""Killed at random while clips are added, replaced, retagged, removed and searched.

`EARMARK_KILLS=100` kills as often as that.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.lexical.stemming import stems
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.types import Filter
from tests import prepared
from tests.index.crashing import DIM, SNAPSHOT, State, replayed
from tests.index.made import enlarge, environment, small_disk, vector

SEEDS = {vector(seed).tobytes(): seed for seed in range(1_000)}
KILLS = int(os.environ.get("EARMARK_KILLS", "5"))

pytestmark = pytest.mark.slow


def held(catalogue: Catalogue) -> State:
    """What a catalogue holds, its vectors known by their seeds."""
    clips = catalogue.clips()
    found = {}
    for clip in clips:
        own = catalogue.vector(clip.row)
        assert own is not None
        found[clip.id] = (SEEDS[own.tobytes()], " ".join(clip.tags))
    return found


def check(folder: Path, journal: Path) -> int:
    """The library is all that was acknowledged, with or without the step under way; it serves."""
    acknowledged, with_last = replayed(journal)
    begun = time.monotonic()
    with closing(Catalogue.open_or_create(folder, "f", DIM)) as catalogue:
        store = FaissStore(catalogue.meta("library"), DIM, max_recent=8)
        store.load(folder / SNAPSHOT)
        store.apply(catalogue.changes(store.generation))
        rows = store.search(vector(5), 1_000)[0]
        assert time.monotonic() - begun < 60
        now = held(catalogue)
        assert now in (acknowledged, with_last)
        if acknowledged != with_last:
            with journal.open("a") as file:
                what = "done" if now == with_last else "undone"
                file.write(f'{{"what": "{what}"}}\n')
        clips = {clip.row: clip for clip in catalogue.clips()}
        assert sorted(rows.tolist()) == sorted(clips)
        # By their scores: two clips may have the same vector.
        scores = {row: float(_vector_of(catalogue, row) @ vector(5)) for row in clips}
        best = sorted(scores.values(), reverse=True)
        np.testing.assert_allclose([scores[row] for row in rows], best, atol=1e-6)
        for tag in ("red", "blue", "green"):
            tagged = {row for row, clip in clips.items() if tag in clip.tags}
            assert set(store.passing(Filter(all_tags=(tag,))).tolist()) == tagged
            assert set(store.match(list(stems(tag)), 1_000)[0].tolist()) == tagged
        store.wait_until_idle()
        return int(catalogue.meta("generation"))


def _vector_of(catalogue: Catalogue, row: int) -> np.ndarray:
    own = catalogue.vector(row)
    assert own is not None
    return own


def spoil(snapshot: Path, chance: random.Random) -> None:
    """Sometimes what a failing disk does: cut short, zeroed, altered."""
    if not snapshot.exists() or chance.random() > 0.3:
        return
    data = bytearray(snapshot.read_bytes())
    place = chance.randrange(len(data))
    kind = chance.choice(["cut", "zero", "alter"])
    if kind == "cut":
        del data[place:]
    elif kind == "zero":
        data[place:] = bytes(len(data) - place)
    else:
        data[place] ^= 1 << chance.randrange(8)
    snapshot.write_bytes(data)


def killed(folder: Path, journal: Path, seed: int, chance: random.Random) -> None:
    """Let a process write to the library, and kill it at random."""
    before = journal.stat().st_size if journal.exists() else 0
    log = journal.with_name("log")
    with log.open("wb") as out:
        arguments, module = (folder, journal, seed), "tests.index.crashing"
        process = prepared.start(arguments, out, out, environment(), module)
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.stat().st_size == before:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.3))
    process.kill()
    assert process.wait() == -signal.SIGKILL, log.read_text()


def test_kills_amid_all_kinds_of_writes(tmp_path: Path) -> None:
    chance, folder, journal = random.Random(), tmp_path / "library", tmp_path / "journal"
    generations = []
    for kill in range(KILLS):
        killed(folder, journal, kill, chance)
        generations.append(check(folder, journal))
        spoil(folder / SNAPSHOT, chance)
    assert generations == sorted(generations)
    assert generations[-1] > 3 * KILLS  # the test is worth something


def test_kills_amid_writes_on_a_disk_that_is_full(tmp_path: Path) -> None:
    """Writes are refused whole, reading goes on; with room again, so does writing."""
    chance, journal = random.Random(), tmp_path / "journal"
    with small_disk(300) as disk:
        folder, refused, generations = disk / "library", [], []
        for kill in range(max(5, KILLS // 3)):
            killed(folder, journal, kill, chance)
            refused.append(journal.read_text().count("undone"))
            if chance.random() < 0.5:  # to the last byte
                with suppress(OSError), (disk / "filler").open("ab") as filler:
                    filler.write(bytes(300_000))
            generations.append(check(folder, journal))
            if chance.random() < 0.5:
                (disk / "filler").unlink(missing_ok=True)
        assert refused[-1] > 5
        assert generations == sorted(generations)
        (disk / "filler").unlink(missing_ok=True)
        enlarge(disk, 3_000)
        killed(folder, journal, KILLS, chance)
        assert check(folder, journal) > generations[-1]
