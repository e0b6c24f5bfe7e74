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
from earmark.index.files.missing import find_prunable, remove_missing
from earmark.index.ingest import bulk
from earmark.index.ingest.bulk import AddReport
from earmark.index.ingest.local import OnHeard
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from tests.index import made
from tests.model import tiny


def embed_by_threes(
    embedder: Embedder, files: Sequence[SourceFile], *, on_heard: OnHeard
) -> Generator[EmbeddedBatch]:
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


@pytest.mark.parametrize("is_touched", [False, True], ids=["moved", "copied"])
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
    library: Library, tmp_path: Path, names: dict[str, str], is_touched: bool
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
    if is_touched:
        for new in names.values():
            os.utime(folder / new)
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
    where = {sound.id: sound.path for sound in found.files}
    assert where == {ids[name]: str(folder / name) for name in ids if ids[name] in lost}
    assert found.folders == {}
    assert add(library, folder).unchanged == 7 - len(lost)
    assert remove_missing(library.catalogue, found.files) == len(lost)
    assert lost.isdisjoint(ids_by_name(library).values())


def test_files_that_are_changed_or_touched_stay_where_they_are(
    library: Library, tmp_path: Path
) -> None:
    """A copy is a clip of its own where its original is still what it was."""
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


class Killed(Exception):
    """The process ends here."""


def embed_and_die(
    embedder: Embedder, files: Sequence[SourceFile], *, on_heard: OnHeard
) -> Generator[EmbeddedBatch]:
    """The first batch only."""
    yield next(embed_by_threes(embedder, files, on_heard=on_heard))
    raise Killed


@pytest.mark.parametrize("is_killed", [False, True], ids=["whole", "killed"])
def test_new_recordings_under_the_names_of_moved_files(
    library: Library, tmp_path: Path, is_killed: bool
) -> None:
    """A recorder that numbers from the start again: the clips follow their samples."""
    inbox = tmp_path / "sounds" / "in"
    ids = [add(library, file).added[0] for file in made.write_sounds(inbox, 7)]
    for clip_id in ids:
        library.edit(clip_id, {"title": f"of {clip_id}", "tags": ("owl",)})
    sums = {clip.id: clip.sha256 for clip in library.catalogue.clips()}
    inbox.rename(tmp_path / "sounds" / "sorted")
    for file, number in zip(made.write_sounds(inbox, 7, first=50), range(7), strict=True):
        file.rename(inbox / NUMBERS[number])
    if is_killed:
        with pytest.raises(Killed):
            bulk.add(library, [tmp_path / "sounds"], embed_and_die)
    report = add(library, tmp_path / "sounds")
    assert (len(report.moved), len(report.added)) == (4 if is_killed else 7, 7)
    clips = {clip.id: clip for clip in library.catalogue.clips()}
    for number, clip_id in enumerate(ids):
        clip = clips.pop(clip_id)
        assert (clip.sha256, clip.title, clip.tags) == (sums[clip_id], f"of {clip_id}", ("owl",))
        assert clip.path == str(tmp_path / "sounds" / "sorted" / NUMBERS[number])
    assert [(clip.tags, Path(clip.path).parent) for clip in clips.values()] == [((), inbox)] * 7
    assert add(library, tmp_path / "sounds").unchanged == 14


def test_a_sound_that_comes_after_its_path_was_overwritten(
    library: Library, tmp_path: Path
) -> None:
    """The first is a new recording; its samples are found at the end, over another's."""
    files = made.write_sounds(tmp_path / "sounds", 7)
    add(library, tmp_path / "sounds")
    ids, sums = ids_by_name(library), {clip.id: clip.sha256 for clip in library.catalogue.clips()}
    first, last = ids[files[0].name], ids[files[6].name]
    library.edit(first, {"title": "Owl"})
    library.edit(last, {"title": "Rain"})
    shutil.copy(files[0], files[6])
    soundfile.write(files[0], tiny.noise(0.3, seed=99), tiny.RATE)
    for file in files:
        os.utime(file)
    manifest = tmp_path / "new.csv"
    manifest.write_text(f"path,title,tags\n{files[0]},Hail,hail\n")
    report = add(library, tmp_path / "sounds", manifest)
    assert report.moved == {first: str(files[0])}
    clips = {clip.id: clip for clip in library.catalogue.clips()}
    assert (clips[first].title, clips[first].path) == ("Owl", str(files[6]))
    assert clips[first].tags == ()
    assert {clip_id: clips[clip_id].sha256 for clip_id in sums} == sums
    [new] = clips.keys() - sums.keys()
    assert (clips[new].path, clips[new].title) == (str(files[0]), "Hail")
    assert sorted(report.added) == sorted([new, *(ids[file.name] for file in files[1:6])])
    assert [sound.id for sound in find_prunable(library.catalogue).files] == [last]
    assert add(library, tmp_path / "sounds").unchanged == 7


@pytest.mark.parametrize("copy", ["copy.wav", "noise_000.wav"])
def test_a_copy_that_is_read_before_its_touched_original(
    library: Library, tmp_path: Path, copy: str
) -> None:
    files = made.write_sounds(tmp_path / "sounds", 7)
    add(library, tmp_path / "sounds")
    ids = ids_by_name(library)
    library.edit(ids[files[6].name], {"title": "Owl"})
    shutil.copy(files[6], tmp_path / "sounds" / copy)
    for file in files:
        os.utime(file)
    manifest = tmp_path / "copies.csv"
    manifest.write_text(f"path,title,tags\nsounds/{copy},Hail,hail\n")
    report = add(library, tmp_path / "sounds", manifest)
    assert (report.moved, report.failed) == ({}, {})
    after = ids_by_name(library)
    assert {name: after[name] for name in ids} == ids
    original = library.catalogue.clip(ids[files[6].name])
    assert (original.title, original.tags) == ("Owl", ())
    assert list(report.duplicates) == [after[copy]] if copy == "copy.wav" else not report.duplicates
    assert library.catalogue.clip(after[copy]).title == "Hail"
    assert set(report.added) == set(after.values())
    assert len(report.added) == len(after)
    assert add(library, tmp_path / "sounds").unchanged == len(after)


def test_a_title_made_of_the_old_name_becomes_one_of_the_new(
    library: Library, tmp_path: Path
) -> None:
    plain, edited, told = made.write_sounds(tmp_path / "sounds", 3)
    ids = add(library, tmp_path / "sounds").added
    library.edit(ids[1], {"title": "Rain"})
    told.rename(tmp_path / "elsewhere.wav")
    (tmp_path / "sounds" / "Hail.wav").symlink_to(tmp_path / "elsewhere.wav")  # gives the title
    plain.rename(plain.with_name("tawny_owl.wav"))
    edited.rename(edited.with_name("other.wav"))
    assert len(add(library, tmp_path / "sounds").moved) == 3
    titles = [library.catalogue.clip(clip_id).title for clip_id in ids]
    assert titles == ["tawny owl", "Rain", "Hail"]


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
