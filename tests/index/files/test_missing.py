"""Sounds whose files are gone: counted, listed, and removed after asking."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import SourceFile
from earmark.index.files import missing
from earmark.index.files.missing import MissingMonitor, find_missing, find_prunable
from earmark.index.files.relocation import record_uploads_folder
from earmark.index.library import Library
from earmark.service.cli.main import main
from tests.index import made
from tests.index.made import new_clip
from tests.service.raw_connection import until


def stock(catalogue: Catalogue, *files: Path) -> None:
    """Clips of files that are there, empty."""
    with catalogue.write() as writer:
        for number, file in enumerate(files):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            writer.put(new_clip(file.stem, number, path=str(file), id=file.stem))


def test_files_that_are_gone(catalogue: Catalogue, tmp_path: Path) -> None:
    files = [tmp_path / "in" / f"{name}.wav" for name in "abcd"]
    stock(catalogue, *files)
    assert list(find_missing(catalogue)) == []
    files[1].unlink()
    files[2].unlink()
    files[2].symlink_to("nowhere")
    assert [(sound.id, sound.title, sound.path) for sound in find_missing(catalogue)] == [
        ("b", "b", str(files[1])),
        ("c", "c", str(files[2])),
    ]
    shutil.rmtree(tmp_path / "in")
    (tmp_path / "in").touch()  # in its place
    assert len(list(find_missing(catalogue))) == 4


def test_files_that_cannot_be_looked_for_are_not_gone(catalogue: Catalogue) -> None:
    with made.public_folder() as folder:
        stock(catalogue, folder / "closed" / "a.wav", folder / "loop.wav")
        (folder / "loop.wav").unlink()
        (folder / "loop.wav").symlink_to("loop.wav")
        (folder / "closed").chmod(0o700 if os.geteuid() == 0 else 0)
        catalogue.close_idle()
        paths = [path for clips in catalogue.iter_paths(9) for _, _, path in clips]
        with made.nobody():
            found = [path for path in paths if missing.is_gone(path)]
        (folder / "closed").chmod(0o755)
        assert found == []


def test_whole_folders_are_kept_apart(catalogue: Catalogue, tmp_path: Path) -> None:
    """A mount point is there, empty, without its disk; or it is not there at all."""
    names = ["home/a", "home/b", "home/drums/c", "home/drums/deep/d", "home/bass/e"]
    disks = ["disk/f", "disk/x/g", "disk/y/z/h", "media/one/i", "media/two/in/j", "media/two/in/k"]
    stock(catalogue, *(tmp_path / f"{name}.wav" for name in names + disks))
    (tmp_path / "home" / "b.wav").unlink()
    shutil.rmtree(tmp_path / "home" / "drums")
    for gone in ("f.wav", "x", "y"):
        target = tmp_path / "disk" / gone
        target.unlink() if target.is_file() else shutil.rmtree(target)
    shutil.rmtree(tmp_path / "media" / "two")
    found = find_prunable(catalogue)
    assert [sound.id for sound in found.files] == ["b"]
    folders = {
        str(Path(folder).relative_to(tmp_path)): "".join(sound.id for sound in sounds)
        for folder, sounds in found.folders.items()
    }
    assert folders == {"home/drums": "cd", "disk": "fgh", "media/two/in": "jk"}


def test_nothing_left_at_all(catalogue: Catalogue, tmp_path: Path) -> None:
    stock(catalogue, tmp_path / "one" / "a.wav", tmp_path / "two" / "b.wav")
    for name in ("one", "two"):
        shutil.rmtree(tmp_path / name)
    found = find_prunable(catalogue)
    assert found.files == []
    assert list(found.folders) == [str(tmp_path)]


def test_what_came_back_meanwhile_stays(catalogue: Catalogue, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.wav" for name in "abc"]
    stock(catalogue, *files)
    for file in files[:2]:
        file.unlink()
    found = list(find_missing(catalogue))
    files[0].touch()
    assert missing.remove_missing(catalogue, found) == 1
    assert [clip.id for clip in catalogue.clips()] == ["a", "c"]


def prune(library: Path, monkeypatch: pytest.MonkeyPatch, answers: str = "", *options: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    assert main(["prune", "--library", str(library), *options]) == 0


def test_prune_asks(
    catalogue: Catalogue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = catalogue.file.parent
    stock(catalogue, *(tmp_path / f"{name}.wav" for name in ("a", "b", "disk/c", "disk/d")))
    with catalogue.write() as writer:
        for name in ("bad.wav", "disk/bad.wav"):
            writer.record_failure(str(tmp_path / name), "no sound")
    (tmp_path / "a.wav").unlink()
    shutil.rmtree(tmp_path / "disk")

    prune(folder, monkeypatch)  # nobody answers
    said = capsys.readouterr().out
    assert f"1 sound without a file:\n  {tmp_path}/a.wav (a)\n" in said
    assert f"2 sounds from {tmp_path}/disk: none is left there. Is a disk not mounted?\n" in said
    assert said.endswith("removed 0, forgot 1 failed files; 4 clips left\n")
    prune(folder, monkeypatch, "n\nno\n")
    assert catalogue.count() == 4
    assert list(catalogue.failures()) == [f"{tmp_path}/disk/bad.wav"]

    prune(folder, monkeypatch, "", "--yes")
    captured = capsys.readouterr()
    assert captured.out.endswith("removed 1, forgot 0 failed files; 3 clips left\n")
    assert captured.err == f"kept those from {tmp_path}/disk: without --yes, prune asks\n"
    prune(folder, monkeypatch, "y\n")
    assert capsys.readouterr().out.endswith("removed 2, forgot 1 failed files; 1 clips left\n")
    prune(folder, monkeypatch)
    assert capsys.readouterr().out == "removed 0, forgot 0 failed files; 1 clips left\n"


def test_uploads_of_a_library_that_moved_are_not_missing(
    library: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    [file] = made.write_sounds(library.uploads.folder, 1)
    record_uploads_folder(library.catalogue, library.uploads.folder)
    library.add([made.embed_file(library.embedder, SourceFile(file))])
    library.folder.rename(tmp_path / "moved")
    prune(tmp_path / "moved", monkeypatch, "y\n")
    assert capsys.readouterr().out == "removed 0, forgot 0 failed files; 1 clips left\n"


def test_the_library_and_its_searches_follow(
    library: Library, tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    files = made.write_sounds(tmp_path / "sounds", 3)
    library.add([made.embed_file(library.embedder, SourceFile(file)) for file in files])
    files[1].unlink()
    assert library.info()["missing"]["total"] == 1
    arguments = ["--library", str(library.folder), "--model", str(model_folder)]
    assert main(["info", *arguments, "--json"]) == 0
    [sound] = json.loads(capsys.readouterr().out)["missing"]["first"]
    assert (sound["title"], sound["path"]) == ("noise 001", str(files[1]))
    assert main(["info", *arguments]) == 0
    assert f"missing files        1\n  {files[1]} ({sound['id']})\n" in capsys.readouterr().out
    prune(library.folder, monkeypatch, "", "--yes")
    assert {hit.clip.path for hit in library.search("noise", 9).hits} == {
        str(files[0]), str(files[2])
    }  # fmt: skip


def test_the_monitor_asks_the_disk_seldom_and_holds_up_nobody(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{name}.wav" for name in "abc"]
    stock(catalogue, *files)
    files[0].unlink()
    monitor = MissingMonitor(catalogue, pause=3600, pause_changed=3600)
    summary = monitor.get()
    assert summary is not None
    assert (summary.total, summary.first[0].id) == (1, "a")
    files[1].unlink()
    assert monitor.get() == summary
    monitor.close()

    answers = threading.Event()
    monkeypatch.setattr(missing, "is_gone", lambda _: answers.wait(60) or True)
    monkeypatch.setattr(missing, "PATIENCE", 0.01)
    hanging = MissingMonitor(catalogue, pause=0)
    assert hanging.get() is None
    assert hanging.get() is None
    answers.set()
    monkeypatch.setattr(missing, "PATIENCE", 60.0)
    found = hanging.get()
    assert found is not None
    assert found.total == 3
    hanging.close()
    assert hanging.get() == found


def test_a_monitor_checks_again_when_the_library_changed(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    stock(catalogue, tmp_path / "a.wav")
    monitor = MissingMonitor(catalogue, pause=3600, pause_changed=0)
    assert monitor.get() == missing.MissingSummary(0, ())
    stock(catalogue, tmp_path / "b.wav")
    (tmp_path / "b.wav").unlink()
    until(lambda: monitor.get() != missing.MissingSummary(0, ()))
    summary = monitor.get()
    monitor.close()
    assert summary is not None
    assert [sound.id for sound in summary.first] == ["b"]
