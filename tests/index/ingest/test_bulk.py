"""Bulk adding: what paths stand for, what is skipped, what fails and why, a full disk."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earmark.index.errors import StorageError
from earmark.index.ingest import bulk, local
from earmark.index.library import Library
from earmark.model.core.errors import InputError, ManifestError
from earmark.model.embedder import Embedder
from tests.index import made
from tests.model import tiny


def paths(library: Library) -> list[str]:
    return sorted(Path(clip.path).name for clip in library.catalogue.clips())


def test_files_folders_and_manifests_are_added_once(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    files = made.write_sounds(folder, 2)
    made.write_sounds(folder / "deeper", 1, first=2)
    (folder / "notes.txt").write_text("not a sound")
    (folder / ".hidden.wav").write_bytes(b"")
    made.write_sounds(tmp_path / "listed", 1, first=3)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "path,tags,title,author,source,licence\n"
        "listed/noise_003.wav,rain;wind metal,Räin,Ann,Field,CC0-1.0\n"
    )
    report = bulk.add(library, [folder, files[0], manifest, folder])
    assert (len(report.added), report.unchanged, report.failed) == (4, 0, {})
    assert paths(library) == [f"noise_00{number}.wav" for number in range(4)]
    by_title = {clip.title: clip for clip in library.catalogue.clips()}
    said = by_title["Räin"]
    assert said.tags == ("rain", "wind", "metal")
    assert (said.author, said.source, said.licence) == ("Ann", "Field", "CC0-1.0")
    assert by_title["noise 000"].tags == ()
    assert all(Path(clip.path).is_absolute() for clip in by_title.values())


def test_damaged_files_are_added_as_far_as_they_go_and_said(
    library: Library, tmp_path: Path
) -> None:
    whole, cut = made.write_sounds(tmp_path, 2)
    cut.write_bytes(cut.read_bytes()[:-5_000])
    lost = pytest.approx(2_500 / tiny.RATE, abs=0.001)
    assert bulk.add(library, [tmp_path]).damaged == {str(cut): lost}
    by_path = {clip.path: clip for clip in library.catalogue.clips()}
    assert by_path[str(cut)].damaged == lost
    assert by_path[str(cut)].duration == pytest.approx(0.3 - 2_500 / tiny.RATE, abs=0.001)
    assert by_path[str(whole)].damaged == 0
    assert library.info()["damaged"] == {str(cut): lost}


def test_vectors_are_those_of_the_sounds_alone(library: Library, tmp_path: Path) -> None:
    files = made.write_sounds(tmp_path / "sounds", 5)
    bulk.add(library, [tmp_path / "sounds"], partial(local.embed, processes=3))
    for clip in library.catalogue.clips():
        alone = library.embedder.embed_audio(Path(clip.path))
        np.testing.assert_array_equal(library.catalogue.vector(clip.row), alone.vector)
        assert clip.duration == pytest.approx(0.3)
    assert len(files) == library.catalogue.count()


def test_unchanged_files_are_skipped_and_changed_ones_keep_their_id(
    library: Library, tmp_path: Path
) -> None:
    files = made.write_sounds(tmp_path / "sounds", 4)
    ids = bulk.add(library, [tmp_path / "sounds"], made.embed_here).added
    generation = library.generation
    report = bulk.add(library, [tmp_path / "sounds"], made.embed_here)
    assert (report.added, report.unchanged) == ([], 4)
    assert library.generation == generation

    before = library.catalogue.clip(ids[1])
    old = library.catalogue.vector(before.row)
    soundfile.write(files[1], tiny.sine(0.8), tiny.RATE)
    made.write_sounds(tmp_path / "sounds", 1, first=9)
    report = bulk.add(library, [tmp_path / "sounds"], made.embed_here)
    assert (len(report.added), report.unchanged) == (2, 3)
    assert ids[1] in report.added
    after = library.catalogue.clip(ids[1])
    assert (after.row, after.duration) == (before.row, pytest.approx(0.8))
    assert not np.allclose(library.catalogue.vector(after.row), old)
    assert (
        library.search_by_vector(library.embedder.embed_audio(files[1]).vector, 1).hits[0].clip.id
        == ids[1]
    )


def test_bad_files_are_listed_with_reasons_and_the_rest_is_added(
    library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "sounds"
    made.write_sounds(folder, 3)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("This is a text. " * 100)
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    soundfile.write(folder / "one.wav", np.zeros(1), 22_000)
    soundfile.write(folder / "nan.wav", np.full(9000, np.nan), 22_000, subtype="FLOAT")
    strange = os.fsencode(folder) + b"/caf\xe9.wav"
    shutil.copy(folder / "noise_000.wav", strange)

    report = bulk.add(library, [folder])
    assert len(report.added) == 3
    reasons = {Path(path).name: reason for path, reason in report.failed.items()}
    expected = {
        "empty.wav": "empty file",
        "gone.wav": "No such file",
        "text.wav": "not a sound",
        "one.wav": "at least 5 ms of sound, got 1 samples",
        "nan.wav": "NaN or infinite",
        "caf\\udce9.wav": "not UTF-8",
    }
    assert reasons.keys() == expected.keys()
    for name, reason in expected.items():
        assert reason in reasons[name]
        assert "\n" not in reasons[name]
    assert library.catalogue.failures() == report.failed

    # Mended, it is added, and is no longer among the failures.
    made.write_sounds(folder, 1, first=7)[0].replace(folder / "text.wav")
    report = bulk.add(library, [folder])
    assert (len(report.added), report.unchanged, len(report.failed)) == (1, 3, 5)
    assert str(folder / "text.wav") not in library.catalogue.failures()


def test_a_whole_library_stands_for_its_sounds(
    library: Library, embedder: Embedder, tmp_path: Path
) -> None:
    made.write_sounds(tmp_path / "sounds", 3)
    first = bulk.add(library, [tmp_path / "sounds"], made.embed_here).added
    with Library.open(tmp_path / "copy", embedder, create=True) as copy:
        assert sorted(bulk.add(copy, [library.folder], made.embed_here).added) == sorted(first)


def test_what_cannot_be_begun_is_an_input_error_and_adds_nothing(
    library: Library, tmp_path: Path
) -> None:
    good = made.write_sounds(tmp_path / "sounds", 1)[0]
    with pytest.raises(InputError, match=r"no such file or folder: .*missing\.wav"):
        bulk.add(library, [good, tmp_path / "missing.wav"])
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("file,tags\nsounds/noise_000.wav,dog\n")
    with pytest.raises(ManifestError, match=r"the columns path and tags .*got file, tags"):
        bulk.add(library, [good, manifest])
    manifest.write_text("path,tags\n")
    with pytest.raises(ManifestError, match="at least one sound"):
        bulk.add(library, [manifest])
    assert library.catalogue.count() == 0


def test_a_manifest_may_name_files_that_are_not_there(library: Library, tmp_path: Path) -> None:
    made.write_sounds(tmp_path, 1)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,tags\nnoise_000.wav,dog\nmissing.wav,cat\n")
    report = bulk.add(library, [manifest])
    assert len(report.added) == 1
    assert list(report.failed) == [str(tmp_path / "missing.wav")]
    assert "No such file" in report.failed[str(tmp_path / "missing.wav")]


def test_files_without_permission(library: Library) -> None:
    with made.public_folder() as folder:
        files = made.write_sounds(folder, 2)
        files[1].chmod(0o700 if os.geteuid() == 0 else 0)
        with made.nobody():
            with pytest.raises(InputError, match=r"noise_001.wav: no permission to read it"):
                library.embedder.embed_audio(files[1], files[1].name)
            assert library.embedder.embed_audio(files[0]).info.frames > 0


def test_torchs_threads_are_left_as_they_were(library: Library, tmp_path: Path) -> None:
    made.write_sounds(tmp_path / "sounds", 1)
    before = torch.get_num_threads()
    bulk.add(library, [tmp_path / "sounds"])
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_written_and_resumes(
    embedder: Embedder, model_folder: Path, tmp_path: Path
) -> None:
    count = 150
    made.write_sounds(tmp_path / "sounds", count, seconds=0.05)
    with made.small_disk(600) as disk:
        folder = disk / "library"
        arguments = ("add", tmp_path / "sounds", "--library", folder, "--model", model_folder)
        with Library.open(folder, embedder, create=True) as library:
            (disk / "ballast").write_bytes(bytes(240 * 1024))
            with pytest.raises(StorageError, match="the disk is full"):
                bulk.add(library, [tmp_path / "sounds"])
            kept = {clip.id for clip in library.catalogue.clips()}
            assert 0 < len(kept) < count
            assert {hit.clip.id for hit in library.search("noise", count).hits} == kept

        done = made.earmark(*arguments)
        assert done.returncode == 1, done.stderr
        assert "the disk is full; what was added before is kept" in done.stderr
        assert "Traceback" not in done.stderr
        made.enlarge(disk, 2000)
        done = made.earmark(*arguments)
        assert done.returncode == 0, done.stderr
        with Library.open(folder, embedder) as library:
            assert library.catalogue.count() == count
            assert kept < {hit.clip.id for hit in library.search("noise", count).hits}


def test_the_same_sound_under_another_name_is_said(library: Library, tmp_path: Path) -> None:
    first, second = made.write_sounds(tmp_path, 2)
    copy = tmp_path / "zz_copy.wav"
    copy.write_bytes(first.read_bytes())
    report = bulk.add(library, [tmp_path], made.embed_here)
    assert len(report.added) == 3
    ids = {clip.path: clip.id for clip in library.catalogue.clips()}
    assert report.duplicates == {ids[str(copy)]: ids[str(first)]}
    assert library.info()["duplicates"] == 1
    assert bulk.add(library, [tmp_path], made.embed_here).duplicates == {}
    assert ids[str(second)] not in report.duplicates.values()
