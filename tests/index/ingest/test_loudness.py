"""Sounds that were added before their loudness was measured get it later."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from earmark.index.catalogue.catalogue import FILE_NAME
from earmark.index.ingest import bulk, loudness
from earmark.index.library import Library
from tests.index import made


def test_sounds_of_before_are_measured(library: Library, tmp_path: Path) -> None:
    sounds = made.write_sounds(tmp_path, 4)
    bulk.add(library, sounds)
    before = list(library.catalogue.clips())
    assert all(clip.loudness is not None for clip in before)
    with closing(sqlite3.connect(library.folder / FILE_NAME)) as db:
        db.execute("UPDATE clips SET loudness = NULL")
        db.commit()
    sounds[1].unlink()
    os.utime(sounds[2], (0, 0))
    report = loudness.measure(library.catalogue)
    assert (report.measured, report.without) == (2, 0)
    assert report.failed == {
        str(sounds[1]): f"{sounds[1].name}: No such file or directory",
        str(sounds[2]): f"{sounds[2].name}: changed since it was added: add it again",
    }
    after = {clip.path: clip for clip in library.catalogue.clips()}
    for clip in before:
        measured = clip.path in (str(sounds[0]), str(sounds[3]))
        assert after[clip.path].loudness == (clip.loudness if measured else None)
        assert (after[clip.path].generation > clip.generation) == measured  # stores follow
