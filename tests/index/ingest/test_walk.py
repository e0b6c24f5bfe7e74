"""Which sounds a folder stands for, what is left out, and what cannot be read."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.index.ingest import bulk
from earmark.index.ingest.walk import Manifests, Walk
from earmark.index.library import Library
from earmark.model.audio.formats import SUFFIXES
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder
from earmark.service.cli.main import main
from tests.index import made

LEFT_OUT = [
    ".git",
    ".Trash-1000",
    ".snapshots",
    "$RECYCLE.BIN",
    "$Recycle.Bin",
    "RECYCLER",
    "System Volume Information",
    "FOUND.000",
    "@eaDir",
    "#recycle",
    "#snapshot",
    "@Recycle",
    "@Recently-Snapshot",
    "__MACOSX",
    "lost+found",
    "Network Trash Folder",
    "~snapshot",
]
SEARCHED = ["#1 takes", "@home", "$money", "found.sounds", "lost", "recycled paper", "a.wav"]


def touch(*files: Path) -> None:
    """Empty files, with their folders: enough for a walk."""
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def walked(*paths: Path) -> tuple[Walk, list[Path]]:
    """A walk of the paths, and the files that it found."""
    walk = Walk()
    return walk, [file.path for path in paths for file in walk.sounds(path)]


@pytest.mark.parametrize("place", ["", "deep/er"])
def test_folders_of_systems_are_left_out_unless_they_are_named(tmp_path: Path, place: str) -> None:
    root = tmp_path / "sounds"
    touch(*(root / place / name / "below" / "a.wav" for name in LEFT_OUT + SEARCHED))
    _, found = walked(root)
    expected = {root / place / name / "below" / "a.wav" for name in SEARCHED}
    assert set(found) == expected
    _, named = walked(*(root / place / name for name in LEFT_OUT))
    assert len(named) == len(LEFT_OUT)


def test_every_format_is_added_with_its_folder(tmp_path: Path) -> None:
    files = [tmp_path / f"sound{suffix}" for suffix in SUFFIXES]
    touch(*files, *(file.with_stem("LOUD").with_suffix(file.suffix.upper()) for file in files))
    walk, found = walked(tmp_path)
    assert (len(found), walk.passed_over) == (2 * len(files), {})


def test_files_passed_over_are_counted_by_ending(tmp_path: Path) -> None:
    names = ["notes.txt", "LIST.TXT", "cover.jpg", "deep/a.jpg", "Makefile", "list.csv", "a.wav"]
    touch(*(tmp_path / name for name in names))
    touch(tmp_path / ".DS_Store", tmp_path / "._a.wav", tmp_path / "@eaDir/a.jpg")
    touch(Path(os.fsdecode(os.fsencode(tmp_path) + b"/a.caf\xe9")))
    walk, found = walked(tmp_path, tmp_path / "deep", tmp_path)
    assert found == [tmp_path / "a.wav"]
    assert walk.passed_over == {".txt": 2, ".jpg": 2, "": 1, ".csv": 1, ".caf\\udce9": 1}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sets(
        st.lists(
            st.sampled_from(["a", "b", "@eaDir", ".c", "lost+found", "d.wav", "sub"]), max_size=4
        ).map(tuple),
        max_size=12,
    ),
    st.sampled_from(["x.wav", "x.FLAC", "x.txt", "x", ".x.wav", "x.tar.gz"]),
)
def test_any_tree(tmp_path: Path, folders: set[tuple[str, ...]], name: str) -> None:
    """Each file is found, passed over, or below something that is left out."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as root:
        files = [Path(root, *parts, name) for parts in folders]
        touch(*files)
        walk, found = walked(Path(root), Path(root))
        left_out = {"@eaDir", ".c", "lost+found"}
        kept = [
            file for file, parts in zip(files, folders, strict=True) if not left_out & set(parts)
        ]
        is_sound = name in ("x.wav", "x.FLAC")
        assert sorted(found) == (sorted(kept) if is_sound else [])
        passed_over = 0 if is_sound or name.startswith(".") else len(kept)
        assert walk.passed_over.total() == passed_over
        assert walk.failed == {}


def test_libraries_in_a_folder_are_left_out_unless_they_are_named(
    library: Library, embedder: Embedder, tmp_path: Path
) -> None:
    made.write_sounds(tmp_path / "sounds", 2)
    other = tmp_path / "sounds" / "other"
    with Library.open(other, embedder, create=True) as inner:
        bulk.add(inner, made.write_sounds(tmp_path / "elsewhere", 1, first=5), made.embed_here)
        made.write_sounds(other / "feedback", 1, first=6)
        made.write_sounds(library.folder / "feedback", 1, first=7)
        (tmp_path / "sounds" / "way").symlink_to(other / "feedback")
    report = bulk.add(library, [tmp_path / "sounds"], made.embed_here)
    assert (len(report.added), report.failed, report.passed_over) == (2, {}, {})
    inside = library.folder / "sounds"
    made.write_sounds(inside, 1, first=8)
    assert len(bulk.add(library, [tmp_path], made.embed_here).added) == 1  # of "elsewhere"
    assert len(bulk.add(library, [inside], made.embed_here).added) == 1  # named
    report = bulk.add(library, [other], made.embed_here)
    assert (report.unchanged, report.added) == (1, [])


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    root, outside = tmp_path / "sounds", tmp_path / "outside"
    touch(root / "a.wav", root / "sub/b.wav", outside / "c.wav", outside / "deep/d.wav")
    touch(tmp_path / "beside.wav", tmp_path / ".hidden/e.wav")
    (root / "again").symlink_to("sub")
    (root / "loop").symlink_to(".")
    (root / "sub/up").symlink_to(root)
    (root / "parent").symlink_to("..")
    (root / "out").symlink_to(outside)
    (root / "out too").symlink_to(outside / "deep")
    (outside / "back").symlink_to(root)
    (outside / "self").symlink_to("self")
    (root / "shown").symlink_to(tmp_path / ".hidden")
    (root / ".not shown").symlink_to(outside)
    walk, found = walked(root)
    assert sorted(found) == sorted(
        [
            root / "a.wav",
            root / "sub/b.wav",
            outside / "c.wav",
            outside / "deep/d.wav",
            tmp_path / ".hidden/e.wav",
        ]
    )
    assert list(walk.failed) == [str(outside / "self")]


def test_a_path_has_one_spelling_whichever_way_it_is_named(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.write_sounds(tmp_path / "real" / "deep", 3)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "link/list").symlink_to(tmp_path / "link" / "deep")
    for folder in ("real", "link"):
        (tmp_path / folder / "m.csv").write_text("path,tags\nlist/../deep/noise_001.wav,x\n")
    monkeypatch.chdir(tmp_path / "link")
    assert len(bulk.add(library, [Path("deep/noise_000.wav")], made.embed_here).added) == 1
    assert len(bulk.add(library, [tmp_path / "link" / "m.csv"], made.embed_here).added) == 1
    assert len(bulk.add(library, [Path("deep"), Path()], made.embed_here).added) == 1
    for path in (Path(), tmp_path / "link", tmp_path / "real", Path("../link/./list")):
        report = bulk.add(library, [path], made.embed_here)
        assert (report.added, report.unchanged) == ([], 3)
    folder = tmp_path.resolve() / "real" / "deep"
    assert {Path(clip.path).parent for clip in library.catalogue.clips()} == {folder}


def test_a_link_stands_for_its_file_and_gives_the_title(library: Library, tmp_path: Path) -> None:
    """As in an archive of git-annex, or a cache whose files are named by their sums."""
    files = made.write_sounds(tmp_path / ".store", 2)
    files[0] = files[0].rename(files[0].with_name("3f0a"))
    files[1] = files[1].rename(files[1].with_name("77bc.wav"))
    (tmp_path / "sounds").mkdir()
    for name, file in zip(("owl-night.wav", "Rain.wav"), files, strict=True):
        (tmp_path / "sounds" / name).symlink_to(file)
    (tmp_path / "sounds" / "same.wav").symlink_to("Rain.wav")
    (tmp_path / "m.csv").write_text("path,tags\nsounds/Rain.wav,rain\n")
    assert len(bulk.add(library, [tmp_path / "sounds"], made.embed_here).added) == 2
    for path in ("sounds", "sounds/same.wav", ".store", ".store/3f0a", "m.csv"):
        report = bulk.add(library, [tmp_path / path], made.embed_here)
        assert (report.added, report.moved, report.failed) == ([], {}, {})
    clips = {clip.title: clip for clip in library.catalogue.clips()}
    assert {title: clip.path for title, clip in clips.items()} == {
        "owl night": str(files[0]),
        "Rain": str(files[1]),
    }
    assert clips["Rain"].tags == ("rain",)


def test_metadata_of_a_manifest_outlasts_the_folder_named_after_it(
    library: Library, tmp_path: Path
) -> None:
    made.write_sounds(tmp_path / "sounds", 1)
    (tmp_path / "m.tsv").write_text("path\ttags\nsounds/noise_000.wav\train, thunder,wind\n")
    bulk.add(library, [tmp_path / "m.tsv", tmp_path / "sounds"], made.embed_here)
    assert library.catalogue.clips()[0].tags == ("rain", "thunder", "wind")


def test_a_named_manifest_may_have_any_name_and_encoding(library: Library, tmp_path: Path) -> None:
    made.write_sounds(tmp_path, 1)
    file = tmp_path / "list.txt"
    file.write_bytes("path;tags\nnoise_000.wav;café\n".encode("latin-1"))
    manifests = Manifests(frozenset([file]), "latin-1")
    bulk.add(library, [file], made.embed_here, manifests)
    assert library.catalogue.clips()[0].tags == ("café",)


def test_a_folder_of_hugging_face_is_named_as_a_manifest(
    library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.write_sounds(tmp_path / "train", 1)
    line = {"file_name": "noise_000.wav", "labels": ["tin roof", "rain"], "caption": "It rains."}
    (tmp_path / "train" / "metadata.jsonl").write_text(json.dumps(line))
    bulk.add(library, [tmp_path / "train" / "metadata.jsonl"], made.embed_here)
    [clip] = library.catalogue.clips()
    assert (clip.tags, clip.description) == (("tin-roof", "rain"), "It rains.")
    assert main(["add", "--manifest", str(tmp_path), "--library", str(tmp_path / "new")]) == 2
    assert "--manifest: expected one of manifest.csv, metadata.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.wav", "no such file or folder"),
        ("x" * 300 + ".wav", "cannot be read .File name too long"),
        ("loop", "cannot be read .Too many levels"),
        ("loop/a.wav", "cannot be read .Too many levels"),
        ("file.wav/a.wav", "cannot be read .Not a directory"),
        ("dangling.wav", "no such file or folder"),
        ("pipe.csv", "cannot be read .not a file"),
    ],
)
def test_named_paths_where_nothing_is(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling.wav").symlink_to("nowhere")
    touch(tmp_path / "file.wav")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match=message):
        walked(tmp_path / name)


def test_what_is_no_file_does_not_hold_up_the_rest(library: Library, tmp_path: Path) -> None:
    """Pipes, sockets, devices, links to nothing and to themselves."""
    made.write_sounds(tmp_path / "sounds", 1)
    folder = tmp_path / "sounds"
    os.mkfifo(folder / "pipe.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "nothing.wav").symlink_to("nothing")
    (folder / "nothing").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket.wav"))
        report = bulk.add(library, [folder])
    assert len(report.added) == 1
    reasons = {Path(path).name: reason for path, reason in report.failed.items()}
    assert reasons == {
        "pipe.wav": "pipe.wav: not a file of sound",
        "zero": "zero: not a file of sound",
        "socket.wav": "socket.wav: not a file of sound",
        "nothing.wav": "nothing.wav: No such file or directory",
        "loop.wav": "loop.wav: cannot be read (Too many levels of symbolic links)",
    }
    assert report.passed_over == {"": 1}


def bound_earmark(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command, run by a process that permissions bind, also where it is root's."""
    return subprocess.run(
        [*made.bound_by_permissions(), "-m", "earmark.service.cli.main", *map(str, arguments)],
        cwd=made.ROOT,
        env=made.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_one_unreadable_folder_is_a_failure_like_a_file(library: Library) -> None:
    with made.public_folder() as folder:
        made.write_sounds(folder, 1)
        made.write_sounds(folder / "after", 1, first=1)
        made.write_sounds(folder / "closed", 1, first=2)
        strange = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
        strange.mkdir()
        for path in (folder / "closed", strange):
            path.chmod(0o700 if os.geteuid() == 0 else 0)
        with made.nobody():
            report = bulk.add(library, [folder], made.embed_here)
            paths = [folder / "closed", folder / "closed" / "noise_002.wav"]
            named = bulk.add(library, paths, made.embed_here)
        assert len(report.added) == 2
        assert report.failed == {
            str(folder / "closed"): "closed: cannot be read (Permission denied)",
            f"{folder}/caf\\udce9": "caf\\udce9: cannot be read (Permission denied)",
        }
        assert named.failed == {
            str(folder / "closed"): "closed: cannot be read (Permission denied)",
            str(folder / "closed/noise_002.wav"): "noise_002.wav: cannot be read "
            "(Permission denied)",
        }
        # Once it can be read, it is a failure no more.
        for path in (folder / "closed", strange):
            path.chmod(0o755)
        report = bulk.add(library, [folder], made.embed_here)
        assert (len(report.added), report.failed, library.catalogue.failures()) == (1, {}, {})


def test_failures_of_files_that_are_gone_are_forgotten(library: Library, tmp_path: Path) -> None:
    made.write_sounds(tmp_path / "sounds", 1)
    for name in ("bad.wav", "worse.wav", "notes.txt"):
        (tmp_path / "sounds" / name).write_text("no sound")
    (tmp_path / "soundscape.wav").write_text("no sound")
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/sounds/caf\xe9.wav"))
    strange.touch()
    bulk.add(
        library, [tmp_path / "sounds", *tmp_path.glob("sounds/*.txt"), *tmp_path.glob("*.wav")]
    )
    assert len(library.catalogue.failures()) == 5
    (tmp_path / "sounds" / "bad.wav").unlink()
    (tmp_path / "soundscape.wav").unlink()  # not in that folder
    strange.unlink()
    before = library.generation
    bulk.add(library, [tmp_path / "sounds"])
    left = [Path(path).name for path in library.catalogue.failures()]
    assert left == ["notes.txt", "worse.wav", "soundscape.wav"]
    assert library.generation > before  # what is computed of them is computed again


def test_failures_are_over_once_the_file_or_the_target_of_its_link_is_read(
    library: Library, tmp_path: Path
) -> None:
    [file] = made.write_sounds(tmp_path / "sounds", 1)
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"path,tags\n{file},rain\nlink.wav,wind\n")
    bulk.add(library, [manifest])
    assert [Path(path).name for path in library.catalogue.failures()] == ["link.wav"]
    file.rename(tmp_path / "away")  # a disk that is not mounted
    bulk.add(library, [manifest])
    assert len(library.catalogue.failures()) == 2
    (tmp_path / "away").rename(file)
    (tmp_path / "link.wav").symlink_to(file)
    report = bulk.add(library, [manifest])
    assert (report.failed, library.catalogue.failures()) == ({}, {})


def test_the_library_itself_is_no_folder_of_sounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.write_sounds(tmp_path / "sounds", 1)
    assert main(["add", str(tmp_path / "sounds"), "--library", str(tmp_path / "sounds")]) == 2
    assert "expected sounds, got the library itself" in capsys.readouterr().err
    assert [path.suffix for path in (tmp_path / "sounds").iterdir()] == [".wav"]


def test_endings_are_fit_to_be_printed(tmp_path: Path) -> None:
    touch(tmp_path / "a.\x1b[31m\nx", tmp_path / "b.txt")
    walk, _ = walked(tmp_path)
    assert walk.passed_over == {".?[31m?x": 1, ".txt": 1}


@pytest.mark.slow
def test_the_command_line_tells_what_it_passed_over_and_never_a_traceback(
    model_folder: Path, tmp_path: Path
) -> None:
    folder, closed = tmp_path / "sounds", tmp_path / "sounds" / "closed"
    made.write_sounds(folder, 1)
    touch(*(folder / f"{number}.txt" for number in range(3)), closed / "a.wav")
    touch(folder / "README", folder / "a.jpg", tmp_path / "closed.csv")
    arguments = ("--library", tmp_path / "library", "--model", model_folder)
    for path in (closed, tmp_path / "closed.csv"):
        path.chmod(0)
    try:
        done = bound_earmark("add", folder, *arguments)
        again = bound_earmark("add", folder, "--json", *arguments)
        refused = [
            bound_earmark("add", path, *arguments)
            for path in (tmp_path / "closed.csv", "x" * 300, folder / "README/x")
        ]
        refused.append(bound_earmark("info", "--library", closed, "--model", model_folder))
    finally:
        closed.chmod(0o755)
    assert done.returncode == 1
    assert done.stdout.startswith("added 1, described 0, unchanged 0, failed 1; 1 clips in")
    assert done.stdout.endswith("\npassed over 5 files: 3 .txt, 1 without ending, 1 .jpg\n")
    assert "closed: cannot be read (Permission denied)\n" in done.stderr
    assert json.loads(again.stdout)["passed_over"] == {".txt": 3, "": 1, ".jpg": 1}
    for process in refused:
        assert (process.returncode, process.stderr.count("\n")) == (2, 1), process.stderr
