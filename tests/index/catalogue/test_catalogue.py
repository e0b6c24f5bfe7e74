"""The catalogue: ids, rows and generations; transactions; words; failures."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from earmark.index.catalogue import schema
from earmark.index.catalogue.catalogue import FILE_NAME, Catalogue
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import KnownFile, NewClip
from earmark.index.errors import UnknownClipError
from tests.index.made import new_clip, run_program, vector


def put(catalogue: Catalogue, *clips: NewClip) -> list[str]:
    with catalogue.write() as writer:
        return [writer.put(clip) for clip in clips]


def test_what_was_put_is_read_back_also_after_opening_again(catalogue: Catalogue) -> None:
    new = new_clip(
        "rain",
        seed=7,
        title="Räin",
        tags=("rain", "bass-drum"),
        author="A",
        source="S",
        licence="CC0-1.0",
        duration=12.5,
        windows=np.stack([vector(1), vector(2)]),
        starts=np.array([0.0, 2.25]),
    )
    (clip_id,) = put(catalogue, new)
    catalogue.close()
    again = Catalogue.open(catalogue.file.parent)
    clip = again.clip(clip_id)
    assert (clip.title, clip.tags, clip.author) == ("Räin", ("rain", "bass-drum"), "A")
    assert (clip.source, clip.licence, clip.duration) == ("S", "CC0-1.0", 12.5)
    assert again.clips() == [clip]
    assert again.clips_by_row([clip.row, 99]) == {clip.row: clip}
    np.testing.assert_array_equal(again.vector(clip.row), new.vector)
    starts, windows = again.windows([clip.row])[clip.row]
    np.testing.assert_array_equal(starts, [0.0, 2.25])
    np.testing.assert_array_equal(windows, new.windows)
    assert again.totals() == {"seconds": 12.5, "clips_with_windows": 1, "duplicates": 0}
    assert again.known_files(["/sounds/rain.wav", "/sounds/other.wav"]) == {
        "/sounds/rain.wav": KnownFile(100, 1, new.metadata)
    }
    again.close()


def test_an_id_is_the_start_of_the_sounds_sum_and_a_second_file_gets_a_suffix(
    catalogue: Catalogue,
) -> None:
    same = [new_clip(name, seed=3) for name in "abc"]
    first = same[0].sha256[:12]
    assert put(catalogue, *same) == [first, f"{first}-2", f"{first}-3"]
    with catalogue.write() as writer:
        writer.remove(f"{first}-2")
    assert put(catalogue, new_clip("d", seed=3)) == [f"{first}-2"]
    assert len({clip.id for clip in catalogue.clips()}) == 3


def test_a_replaced_file_keeps_its_id_and_row_and_leaves_nothing_of_the_old(
    catalogue: Catalogue,
) -> None:
    windows = {"windows": np.stack([vector(1)]), "starts": np.array([0.0])}
    old = put(catalogue, new_clip("a", seed=1, title="oldword", **windows))
    row = catalogue.clip(old[0]).row
    assert put(catalogue, new_clip("a", seed=2, title="newword", duration=3.0)) == old
    clip = catalogue.clip(old[0])
    assert (clip.row, clip.title, clip.duration) == (row, "newword", 3.0)
    assert catalogue.count() == 1
    assert catalogue.windows([row]) == {}
    np.testing.assert_array_equal(catalogue.vector(row), vector(2))


def test_a_removed_row_is_never_given_out_again(catalogue: Catalogue) -> None:
    ids = put(catalogue, new_clip("a", 1), new_clip("b", 2))
    last = catalogue.clip(ids[1]).row
    with catalogue.write() as writer:
        writer.remove(ids[1])
    assert catalogue.vector(last) is None
    assert catalogue.windows([last]) == {}
    (again,) = put(catalogue, new_clip("b", 2))
    assert again == ids[1]
    assert catalogue.clip(again).row == last + 1


def test_removing_takes_windows_along(catalogue: Catalogue) -> None:
    (clip_id,) = put(
        catalogue, new_clip("a", windows=np.stack([vector(1)]), starts=np.array([0.0]))
    )
    with catalogue.write() as writer:
        writer.remove(clip_id)
    assert catalogue.totals() == {"seconds": 0.0, "clips_with_windows": 0, "duplicates": 0}
    with pytest.raises(UnknownClipError, match=f"no clip '{clip_id}'"):
        catalogue.clip(clip_id)


def test_generations_count_writes_and_changes_tell_what_happened_since(
    catalogue: Catalogue,
) -> None:
    ids = put(catalogue, new_clip("a", 1), new_clip("b", 2))
    put(catalogue, new_clip("c", 3))
    with catalogue.write() as writer:
        writer.remove(ids[0])
    put(catalogue, new_clip("b", 5))
    assert catalogue.meta("generation") == "4"

    everything = catalogue.changes(0)
    assert everything.rows.tolist() == [2, 3]
    assert everything.removed.tolist() == [1]
    np.testing.assert_array_equal(everything.vectors, [vector(5), vector(3)])
    since_two = catalogue.changes(2)
    assert (since_two.rows.tolist(), since_two.removed.tolist()) == ([2], [1])
    since_three = catalogue.changes(3)
    assert (since_three.rows.tolist(), since_three.removed.tolist()) == ([2], [])
    nothing = catalogue.changes(4)
    assert (len(nothing.rows), len(nothing.removed), nothing.generation) == (0, 0, 4)
    assert nothing.vectors.shape == (0, 4)


def test_a_transaction_that_fails_leaves_no_trace(catalogue: Catalogue) -> None:
    (kept,) = put(catalogue, new_clip("kept", 1))
    before = catalogue.clips(), catalogue.failures(), catalogue.meta("generation")
    with pytest.raises(RuntimeError, match="in the middle"), catalogue.write() as writer:
        writer.put(new_clip("lost", 2))
        writer.put(new_clip("kept", 3, title="changed"))
        writer.remove(kept)
        writer.record_failure("/sounds/bad.wav", "bad")
        raise RuntimeError("in the middle")
    assert (catalogue.clips(), catalogue.failures(), catalogue.meta("generation")) == before
    with pytest.raises(UnknownClipError, match="nowhere"), catalogue.write() as writer:
        writer.remove(kept)
        writer.remove("nowhere")
    assert catalogue.clip(kept).title == "kept"


def test_readers_see_the_state_before_an_open_transaction(catalogue: Catalogue) -> None:
    with catalogue.write() as writer:
        writer.put(new_clip("a"))
        assert catalogue.count() == 0
        assert catalogue.changes(0).generation == 0
    assert catalogue.count() == 1


def test_failures_are_remembered_until_the_file_is_added(catalogue: Catalogue) -> None:
    with catalogue.write() as writer:
        writer.record_failure("/sounds/a.wav", "first reason")
        writer.record_failure("/sounds/b.wav", "another")
    with catalogue.write() as writer:
        writer.record_failure("/sounds/a.wav", "second reason")
    assert catalogue.failures() == {"/sounds/a.wav": "second reason", "/sounds/b.wav": "another"}
    put(catalogue, new_clip("a"))
    assert catalogue.failures() == {"/sounds/b.wav": "another"}


_WRITE = """
import sys
from pathlib import Path

from earmark.index.catalogue.catalogue import FILE_NAME, Catalogue
from tests.index.made import new_clip
catalogue = Catalogue.open_or_create(Path(sys.argv[1]), "model-1", 4)
for number in range(40):
    with catalogue.write() as writer:
        writer.put(new_clip(f"{sys.argv[2]}-{number}", seed=number))
"""


def test_two_processes_create_and_write_without_losing_anything(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        writers = [
            pool.submit(run_program, _WRITE, tmp_path / "library", name) for name in ("one", "two")
        ]
    assert [writer.result() for writer in writers] == [(0, "")] * 2
    catalogue = Catalogue.open(tmp_path / "library")
    assert catalogue.count() == 80
    assert catalogue.meta("generation") == "80"
    assert len({clip.id for clip in catalogue.clips()}) == 80
    catalogue.close()


def test_threads_that_come_and_go_leave_no_open_files(catalogue: Catalogue) -> None:
    put(catalogue, new_clip("a"))
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("this system has no /proc to count open files with")
    counts = []
    for _ in range(60):
        thread = threading.Thread(target=lambda: counts.append(catalogue.count()))
        thread.start()
        thread.join()
    own = [link for link in descriptors.iterdir() if "catalogue.sqlite" in _target(link)]
    assert counts == [1] * 60
    assert len(own) <= 6  # a connection or two, of three files each


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def test_twins_are_clips_of_one_sound(catalogue: Catalogue) -> None:
    with catalogue.write() as writer:
        ids = [
            writer.put(new_clip(name, sha256=sound * 64))
            for name, sound in (("a", "1"), ("b", "2"), ("c", "1"), ("d", "1"))
        ]
    assert catalogue.duplicates(ids) == {ids[2]: ids[0], ids[3]: ids[0]}
    assert catalogue.duplicates(ids[:2]) == {}
    assert catalogue.totals()["duplicates"] == 2
    with catalogue.write() as writer:
        writer.remove(ids[0])
    assert catalogue.duplicates(ids) == {ids[3]: ids[2]}


@pytest.mark.parametrize("version", range(1, schema.VERSION))
def test_a_catalogue_of_an_older_version_is_brought_up_to_date(
    tmp_path: Path, version: int
) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db, db:
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        for step in (step for steps in schema.MIGRATIONS[:version] for step in steps):
            if isinstance(step, str):
                db.execute(step)
        meta = {"library": "x", "fingerprint": "f", "dim": "4", "generation": "1"}
        db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        row = (1, "a1", "/a.wav", 9, 9, "0" * 64, "Rain", "wet drops", "", "", "", 1.0, 8_000, 1)
        db.execute(
            "INSERT INTO clips (row, id, path, size, mtime_ns, sha256, title, tags, author, "
            "source, licence, duration, sample_rate, channels, added_at, generation, vector) "
            f"VALUES ({'?, ' * 14}'2026-01-01', 1, ?)",
            (*row, vector(1).tobytes()),
        )
        if version < 3:
            values = "VALUES (1, 'Rain', 'wet drops')"
            db.execute(f"INSERT INTO clip_words (rowid, title, tags) {values}")
        else:
            db.execute("UPDATE clips SET changed_at = added_at")
        db.execute(f"PRAGMA user_version = {version}")
    with closing(Catalogue.open(tmp_path)) as catalogue:
        old = catalogue.clip("a1")
        assert (old.title, old.tags, old.description) == ("Rain", ("wet", "drops"), "")
        assert old.changed_at == old.added_at == "2026-01-01"
        put(catalogue, new_clip("b", tags=("dog",), description="a storm far away"))
        changes = catalogue.changes(0)
        assert (changes.titles, changes.tags) == (["Rain", "b"], ["wet drops", "dog"])
        assert changes.descriptions == ["", "a storm far away"]
        assert catalogue.meta("store") == "faiss"
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
            names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    assert {"clips_by_sha256", "feedback"} <= names


def test_times_of_adding_and_changing(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(["2026-01-01", "2026-01-02", "2026-01-03"])
    monkeypatch.setattr("earmark.index.catalogue.writer._now", lambda: next(times))
    (clip_id,) = put(catalogue, new_clip("a"))
    assert catalogue.clip(clip_id).changed_at == "2026-01-01"
    with catalogue.write() as writer:
        writer.update_metadata("/sounds/a.wav", Metadata(description="by the sea"))
    clip = catalogue.clip(clip_id)
    assert (clip.added_at, clip.changed_at) == ("2026-01-01", "2026-01-02")
    assert clip.metadata == Metadata(title="a", tags=("dog", "bark"), description="by the sea")
