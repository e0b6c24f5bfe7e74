"""Renamed and moved files keep their clip, with all that people gave it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile

from earmark.index import feedback, maintenance
from earmark.index.catalogue.embedded_sound import EmbeddedBatch, SourceFile
from earmark.index.catalogue.records import Move
from earmark.index.errors import StorageError
from earmark.index.feedback import Opinion
from earmark.index.files.missing import find_prunable
from earmark.index.ingest import bulk
from earmark.index.ingest.bulk import AddReport
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from tests.index import made
from tests.model import tiny


def embed_by_threes(embedder: Embedder, files: Sequence[SourceFile]) -> Generator[EmbeddedBatch]:
    """An embedding engine that starts no process; its batches are small."""
    for start in range(0, len(files), 3):
        batch = files[start : start + 3]
        yield EmbeddedBatch([made.embed_file(embedder, file) for file in batch])


def add(library: Library, *paths: Path) -> AddReport:
    return bulk.add(library, paths, embed_by_threes)


def ids_by_name(library: Library) -> dict[str, str]:
    return {Path(clip.path).name: clip.id for clip in library.catalogue.clips()}


def test_a_renamed_file_keeps_its_clip(library: Library, tmp_path: Path) -> None:
    first, second = made.write_sounds(tmp_path / "sounds", 2)
    ids = add(library, tmp_path / "sounds").added
    library.edit(ids[0], {"title": "Owl", "tags": ("owl", "night")})
    feedback.add_for_clip(library, ids[0], Opinion(("bird",), ()))
    before = library.catalogue.clip(ids[0])

    moved = tmp_path / "sounds" / "deep" / "owl.wav"
    moved.parent.mkdir()
    first.rename(moved)
    report = add(library, tmp_path / "sounds")
    assert (report.added, report.moved) == ([], {ids[0]: str(first)})
    assert (report.unchanged, report.duplicates, report.failed) == (1, {}, {})
    after = library.catalogue.clip(ids[0])
    assert after.path == str(moved)
    for name in ("row", "title", "tags", "added_at", "sha256"):
        assert getattr(after, name) == getattr(before, name)
    assert [opinion.clip for opinion in feedback.newest(library.catalogue, 9)] == [ids[0]]
    assert library.catalogue.count() == 2
    again = add(library, tmp_path / "sounds")
    assert (again.moved, again.unchanged) == ({}, 2)
    assert second.is_file()


def test_a_whole_folder_moves(library: Library, tmp_path: Path) -> None:
    """Several batches, alike names, and a sound that stands in it thrice."""
    for part in ("a", "b"):
        made.write_sounds(tmp_path / "old" / part, 4, first=ord(part))
    for place in ("a/same.wav", "b/same.wav", "b/other.wav"):
        soundfile.write(tmp_path / "old" / place, tiny.noise(0.3, seed=7), tiny.RATE)
    add(library, tmp_path / "old")
    before = {Path(clip.path).relative_to(tmp_path / "old"): clip.id
              for clip in library.catalogue.clips()}  # fmt: skip
    (tmp_path / "new").mkdir()
    (tmp_path / "old").rename(tmp_path / "new" / "here")
    report = add(library, tmp_path / "new")
    assert (len(report.moved), report.added, report.duplicates) == (11, [], {})
    after = {Path(clip.path).relative_to(tmp_path / "new" / "here"): clip.id
             for clip in library.catalogue.clips()}  # fmt: skip
    assert after == before


def test_a_copy_is_a_clip_of_its_own(library: Library, tmp_path: Path) -> None:
    [file] = made.write_sounds(tmp_path / "sounds", 1)
    [clip] = add(library, tmp_path / "sounds").added
    shutil.copy(file, tmp_path / "sounds" / "copy.wav")
    report = add(library, tmp_path / "sounds")
    assert (report.moved, list(report.duplicates.values())) == ({}, [clip])
    # Two clips and one file: the name that is left keeps its clip.
    file.unlink()
    assert add(library, tmp_path / "sounds").moved == {}
    assert library.catalogue.count() == 2


def test_of_two_clips_the_nearest_path_and_then_the_oldest_is_taken(
    library: Library, tmp_path: Path
) -> None:
    names = ["one.wav", "two.wav", "three.wav"]
    for name in names:
        (tmp_path / "sounds" / "in").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "sounds" / "in" / name, tiny.noise(0.3), tiny.RATE)
    add(library, *(tmp_path / "sounds" / "in" / name for name in names))
    ids = ids_by_name(library)
    for name in names:
        (tmp_path / "sounds" / "in" / name).rename(tmp_path / name)
    report = add(library, tmp_path / "two.wav")
    assert list(report.moved) == [ids["two.wav"]]
    (tmp_path / "one.wav").rename(tmp_path / "other.wav")
    report = add(library, tmp_path / "other.wav")
    assert list(report.moved) == [ids["one.wav"]]
    (tmp_path / "two.wav").rename(tmp_path / "more.wav")
    # More files than clips: the rest are added, as the same sound.
    report = add(library, tmp_path / "more.wav", tmp_path / "three.wav")
    assert report.moved.keys() == {ids["two.wav"], ids["three.wav"]}
    shutil.copy(tmp_path / "three.wav", tmp_path / "last.wav")
    report = add(library, tmp_path / "last.wav")
    assert (len(report.added), report.moved) == (1, {})


def renumbered(folder: Path, names: dict[str, str]) -> None:
    """Rename files of a folder, all at once."""
    for old in names:
        (folder / old).rename(folder / f"{old}.part")
    for old, new in names.items():
        (folder / f"{old}.part").rename(folder / new)


NUMBERS = [f"noise_{number:03}.wav" for number in range(8)]


@pytest.mark.parametrize(
    "names",
    [
        dict(pairwise(NUMBERS)),  # 0 is free; a new number at the end
        dict(zip(NUMBERS[1:], NUMBERS, strict=False)),  # the first is overwritten
        dict(zip(NUMBERS, [*NUMBERS[1:], NUMBERS[0]], strict=True)),
        dict(zip(NUMBERS, NUMBERS[::-1], strict=True)),
        {NUMBERS[1]: NUMBERS[6]},
    ],
    ids=["up", "down", "around", "swapped", "over another"],
)
def test_files_that_take_each_others_names(
    library: Library, tmp_path: Path, names: dict[str, str]
) -> None:
    folder = tmp_path / "sounds"
    for file, number in zip(made.write_sounds(folder, 7), range(7), strict=True):
        os.utime(file, (1, number))
    add(library, folder)
    sums = {clip.id: clip.sha256 for clip in library.catalogue.clips()}
    ids = ids_by_name(library)
    names = {old: new for old, new in names.items() if (folder / old).is_file()}
    lost = {ids[new] for new in names.values() if new in ids and new not in names}
    renumbered(folder, names)
    report = add(library, folder)
    assert report.moved == {ids[old]: str(folder / old) for old in names}
    assert (report.added, report.duplicates, report.failed) == ([], {}, {})
    clips = library.catalogue.clips()
    assert {clip.id: clip.sha256 for clip in clips} == sums
    after = {clip.id: clip.path for clip in clips if clip.id not in lost}
    assert after == {
        clip_id: str(folder / names.get(old, old))
        for old, clip_id in ids.items()
        if clip_id not in lost
    }
    found = find_prunable(library.catalogue)
    assert [{sound.id for sound in found.files}, found.folders] == [lost, {}]
    assert add(library, folder).unchanged == 7 - len(lost)


def test_files_that_are_changed_or_touched_stay_where_they_are(
    library: Library, tmp_path: Path
) -> None:
    """Only size and time together with the samples tell that one file took another's name."""
    first, second, third = made.write_sounds(tmp_path / "sounds", 3)
    add(library, tmp_path / "sounds")
    ids = ids_by_name(library)
    shutil.copy2(first, tmp_path / "sounds" / "copy.wav")
    os.utime(first)
    shutil.copy(second, third)
    report = add(library, tmp_path / "sounds")
    assert (report.moved, len(report.added), len(report.duplicates)) == ({}, 3, 2)
    second.unlink()
    os.utime(third)
    assert add(library, tmp_path / "sounds").moved == {}
    assert {name: clip for name, clip in ids_by_name(library).items() if name != "copy.wav"} == ids


def test_a_file_that_may_not_be_looked_for_is_not_gone(library: Library) -> None:
    with made.public_folder() as folder:
        [file] = made.write_sounds(folder / "closed", 1)
        add(library, folder)
        shutil.copy(file, folder / "copy.wav")
        (folder / "closed").chmod(0o700 if os.geteuid() == 0 else 0)
        with made.nobody():
            report = add(library, folder)
        (folder / "closed").chmod(0o755)
    assert (len(report.added), report.moved) == (1, {})


def test_moves_are_written_with_their_batch_or_not_at_all(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [file] = made.write_sounds(tmp_path / "sounds", 1)
    add(library, tmp_path / "sounds")
    file.rename(file.with_name("renamed.wav"))

    def full(*_: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("earmark.index.catalogue.writer.Writer.put", full)
        with pytest.raises(StorageError):
            add(library, tmp_path / "sounds")
    [clip] = library.catalogue.clips()
    assert clip.path == str(file)


def test_relocation_to_a_link_doubles_nothing(
    library: Library, tmp_path: Path, embedder: Embedder
) -> None:
    made.write_sounds(tmp_path / "old", 3)
    ids = add(library, tmp_path / "old").added
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "link").symlink_to("new")
    assert maintenance.relocate(library.folder, tmp_path / "old", tmp_path / "link") == 3
    for folder in ("new", "link"):
        report = add(library, tmp_path / folder)
        assert (report.added, report.moved, report.unchanged) == ([], {}, 3)
    # The old place leads to the new one: still what the catalogue says counts.
    (tmp_path / "new").rename(tmp_path / "newer")
    (tmp_path / "new").symlink_to("newer")
    assert maintenance.relocate(library.folder, tmp_path / "new", tmp_path / "newer") == 3
    # And a path that leads to what the catalogue says.
    (tmp_path / "way").symlink_to("newer")
    (tmp_path / "last").mkdir()
    assert maintenance.relocate(library.folder, tmp_path / "way", tmp_path / "last") == 3
    assert [clip.id for clip in library.catalogue.clips()] == ids


def test_a_library_with_another_spelling_is_not_doubled(library: Library, tmp_path: Path) -> None:
    """As earlier versions left it: paths that lead through a link."""
    made.write_sounds(tmp_path / "new", 3)
    ids = add(library, tmp_path / "new").added
    (tmp_path / "link").symlink_to("new")
    with library.catalogue.write() as writer:
        writer.relocate(str(tmp_path / "new"), str(tmp_path / "link"))
    (tmp_path / "new" / "owl.wav").symlink_to("noise_001.wav")
    with library.catalogue.write() as writer:
        names = [str(tmp_path / name) for name in ("link/noise_001.wav", "new/owl.wav")]
        assert writer.move(Move(ids[1], *names))
    report = add(library, tmp_path / "new")
    assert (report.added, sorted(report.moved)) == ([], sorted(ids))
    report = add(library, tmp_path / "link")
    assert (report.moved, report.unchanged) == ({}, 3)


def test_uploads_keep_their_spelling_where_their_folder_is_a_link(
    tmp_path: Path, embedder: Embedder
) -> None:
    (tmp_path / "disk" / "store").mkdir(parents=True)
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "uploads").symlink_to(tmp_path / "disk" / "store")
    [file] = made.write_sounds(tmp_path / "sounds", 1)
    with Library.open(tmp_path / "library", embedder, create=True) as library:
        with file.open("rb") as sound:
            staged = library.uploads.stage(sound)
        sound_file = SourceFile(staged.place())
        [clip] = library.add([made.embed_file(embedder, sound_file)])
        staged.commit()  # without close: as if the process had been killed
    with Library.open(tmp_path / "library", embedder) as library:
        assert Path(library.catalogue.clip(clip).path).is_file()
        report = add(library, tmp_path / "disk" / "store")
        assert (report.added, report.moved, report.unchanged) == ([], {}, 1)
        library.remove([clip])
        assert not list((tmp_path / "disk" / "store").glob("*.wav"))
