"""Edits of many clips: their history is consistent whatever is done, they reach the index, and a
kill at any moment leaves none half done."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.index.catalogue import catalogue as catalogue_module
from earmark.index.catalogue import history
from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.metadata import METADATA_FIELDS, Metadata, MetadataChange
from earmark.index.catalogue.records import Origin
from earmark.index.curation import edits
from earmark.index.errors import ChangedError, LibraryError
from earmark.index.library import Library
from earmark.index.stores.factory import catch_up, open_store
from earmark.index.types import Filter
from earmark.model.embedder import Embedder
from tests.index.made import new_clip, vector

DIM, CLIPS, KILLS = 4, 6, 50
NEWEST = 2**40

TEXTS = st.sampled_from(["", "a", "b", " A\u0301 ", "rain", "two words"])
TAGS = st.lists(st.sampled_from(["rain", "RAIN", "sea", "metal roof", "x", " ", "é"]), max_size=3)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "title": TEXTS,
        "licence": TEXTS,
        "description": TEXTS,
        "tags": TAGS.map(tuple),
        "recorded": st.sampled_from(["", "2026", "2026-05-31"]),
    },
)
CHANGES = st.builds(MetadataChange, FIELDS, TAGS.map(tuple), TAGS.map(tuple))
ROWS = st.lists(st.integers(1, CLIPS + 1), min_size=1, max_size=CLIPS, unique=True)
STEPS = st.lists(
    st.tuples(st.just("edit"), ROWS, CHANGES)
    | st.tuples(st.just("undo"), st.integers(1, 8), st.none())
    | st.tuples(st.just("one"), st.integers(1, CLIPS), TAGS)
    | st.tuples(st.just("again"), st.integers(1, CLIPS), FIELDS),
    max_size=8,
)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """A few clips."""
    return filled(tmp_path, CLIPS)


def filled(folder: Path, count: int) -> Catalogue:
    """A catalogue of so many clips."""
    catalogue = Catalogue.create(folder, "f", DIM)
    with catalogue.write() as writer:
        for number in range(count):
            writer.put(new_clip(f"clip{number}", number, vector=vector(number)))
    return catalogue


def state(catalogue: Catalogue) -> dict[int, Metadata]:
    """The metadata of all clips, by row."""
    return {clip.row: clip.metadata for clip in catalogue.clips()}


def perform(catalogue: Catalogue, step: tuple[str, Any, Any]) -> int | None:
    """Do a step in one transaction; the number of its edit."""
    what, which, value = step
    origin = Origin("key", "undo", which) if what == "undo" else Origin("key", "bulk-edit")
    with catalogue.write(origin) as writer:
        if what == "edit":
            writer.edit_all(which, value, {})
        elif what == "undo":
            if history.has_edit(writer._db, which):
                writer.undo(which)
        elif what == "one":
            writer.change_tags(clip_id_of(which), value)
            writer.change_tags(clip_id_of(which), [], value[:1])  # twice in one transaction
        else:
            number = which - 1
            writer.put(new_clip(f"clip{number}", number, vector=vector(number), **value))
        return writer.edit_number


def clip_id_of(row: int) -> str:
    """The id of a clip by its row."""
    return f"{row - 1:064x}"[::-1][:12]


def past_states(catalogue: Catalogue, since: int = 0) -> dict[int, dict[int, Metadata]]:
    """The state before each edit after number `since`, replayed backwards from what is there now.

    Each change must leave what the next one finds.
    """
    now, before = state(catalogue), {}
    with catalogue.database.read_transaction() as db:
        for edit in history.edits(db, NEWEST, 1_000):
            if edit.number <= since:
                break
            for change in history.changes_of_edit(db, edit.number, 0, 1_000):
                assert change.is_after_in(now[change.row])
                assert change.after
                assert change.before.keys() == change.after.keys() <= set(METADATA_FIELDS)
                assert all(change.before[name] != value for name, value in change.after.items())
                now[change.row] = change.undo(now[change.row])
            before[edit.number] = dict(now)
    return before


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_every_earlier_state_follows_from_the_history(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any, Any]]
) -> None:
    with closing(filled(tmp_path_factory.mktemp("edits"), CLIPS)) as catalogue:
        expected = {}
        for step in steps:
            before, clips = state(catalogue), catalogue.clips()
            number = perform(catalogue, step)
            if number is None:
                assert state(catalogue) == before
                if step[0] != "again":  # a sound that is read again counts as changed
                    assert catalogue.clips() == clips
            else:
                expected[number] = before
        assert past_states(catalogue) == expected


def test_undo_gives_back_what_was_and_redo_what_came(catalogue: Catalogue) -> None:
    before = state(catalogue)
    first = perform(catalogue, ("edit", [1, 2, 3], MetadataChange({"author": "Ann"}, ("sea",))))
    after = state(catalogue)
    for number, expected in ((1, before), (2, after), (3, before), (4, after)):
        assert perform(catalogue, ("undo", number, None)) == number + 1
        assert state(catalogue) == expected
    assert first == 1
    with catalogue.database.reading() as db:
        undone = {edit.number: edit.undone_by for edit in history.edits(db, NEWEST, 9)}
    assert undone == {1: None, 2: 3, 3: None, 4: 5, 5: None}


def test_an_edit_is_of_all_clips_or_of_none(catalogue: Catalogue) -> None:
    before, rows = state(catalogue), list(range(1, CLIPS + 1))
    change = MetadataChange({"author": "Ann"})
    with pytest.raises(ChangedError, match="changed meanwhile"), catalogue.write() as writer:
        writer.edit_all(rows, change, {CLIPS: 0})
    many = tuple(f"t{number}" for number in range(999))
    with pytest.raises(LibraryError, match="tags: expected at most 1000"):
        perform(catalogue, ("edit", rows, MetadataChange(add_tags=many)))
    assert state(catalogue) == before


def test_large_edits_reach_the_index_without_vectors(
    tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library.open(tmp_path, embedder, create=True) as library:
        dim = embedder.dim
        with library.catalogue.write() as writer:
            for number in range(CLIPS):
                windows = np.stack([vector(100 + number, dim), vector(200 + number, dim)])
                own = {"windows": windows, "starts": np.array([0.0, 3.0])}
                writer.put(new_clip(f"c{number}", number, vector=vector(number, dim), **own))
        library.refresh()
        monkeypatch.setattr(catalogue_module, "MANY_EDITED", 2)
        apart = []
        plain = Catalogue.changes

        def changes(catalogue: Catalogue, since: int, *arguments: Any, **options: Any) -> Any:
            found = plain(catalogue, since, *arguments, **options)
            apart.append(found.edited)
            return found

        monkeypatch.setattr(Catalogue, "changes", changes)
        edits.edit_clips(library, [1, 2, 3, 4], MetadataChange({"licence": "L"}, ("gong",)))
        with library.catalogue.write() as writer:
            writer.put(new_clip("new", 77, vector=vector(77, dim)))
            writer.remove(library.catalogue.clips_by_row([2])[2].id)
        library.refresh()  # another thread does it
        library.refresh(wait=True)
        assert [len(edited.rows) for edited in apart] == [3]
        fresh = open_store(library.catalogue)
        catch_up(fresh, library.catalogue)
        for where in (Filter(licences=("L",)), Filter(all_tags=("gong",)), Filter()):
            expected = sorted(fresh.passing(where).tolist())
            assert sorted(library.store.passing(where).tolist()) == expected
        assert library.store.match(["gong"], 9)[0].tolist() == fresh.match(["gong"], 9)[0].tolist()
        for number in (0, 102, 203, 77):
            ours, theirs = (
                store.search(vector(number, dim), 9) for store in (library.store, fresh)
            )
            assert ours[0].tolist() == theirs[0].tolist()


def edit_until_killed(folder: Path, seed: int, told: int) -> None:
    """Bulk edits of all clips and their undoing; the number of each, once it is acknowledged, is
    written to the descriptor `told`."""
    with closing(Catalogue.open(folder)) as catalogue:
        rows = list(state(catalogue))
        for turn in itertools.count():
            change = MetadataChange({"author": f"{seed} {turn}"}, (f"t{seed}-{turn}",))
            number = perform(catalogue, ("edit", rows, change))
            os.write(told, f"{number}\n".encode())
            os.write(told, f"{perform(catalogue, ('undo', number, None))}\n".encode())


@pytest.mark.slow
def test_a_kill_amid_edits_leaves_none_half_done(tmp_path: Path) -> None:
    chance, clips, last = random.Random(0), 60, 0
    with closing(filled(tmp_path, clips)) as catalogue:
        before = state(catalogue)
    for seed in range(KILLS):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            edit_until_killed(tmp_path, seed, writing)
        os.close(writing)
        with os.fdopen(reading) as told:
            acknowledged = {int(told.readline())}
            time.sleep(0.03 * chance.random())
            os.kill(child, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            acknowledged |= {int(line) for line in told}
        with closing(Catalogue.open(tmp_path)) as catalogue:
            earlier = past_states(catalogue, last)
            assert acknowledged <= earlier.keys()
            assert earlier.get(last + 1, state(catalogue)) == before
            with catalogue.database.reading() as db:
                assert {edit.clips for edit in history.edits(db, NEWEST, len(earlier))} <= {clips}
            before, last = state(catalogue), last + len(earlier)
    assert last >= KILLS
