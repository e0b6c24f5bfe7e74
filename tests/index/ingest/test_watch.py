"""`earmark add --watch`: a real process that follows a folder."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
import watchfiles
from watchfiles import Change

from earmark.index.ingest import watch
from earmark.index.ingest.watch import Interrupt, follow
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from tests.index.made import ROOT, bound_by_permissions, environment, write_sounds


class Watching:
    """The process, and what it says."""

    def __init__(self, library: Path, model: Path, *paths: Path) -> None:
        command = ["add", *paths, "--watch", "--json", "--library", library, "--model", model]
        self.process = subprocess.Popen(
            [*bound_by_permissions(), "-m", "earmark.service.cli.main", *map(str, command)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._said: Queue[dict[str, Any]] = Queue()
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(json.loads(line))

    def until(self, clips: int, failed: int = 0) -> list[dict[str, Any]]:
        """What it says until there are so many clips and it has named so many failures."""
        said: list[dict[str, Any]] = []
        while not said or said[-1]["clips"] < clips or sum(len(e["failed"]) for e in said) < failed:
            said.append(self._said.get(timeout=240))
        return said

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._listening.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_folder_is_followed(tmp_path: Path, model_folder: Path, end: signal.Signals) -> None:
    folder = tmp_path / "sounds"
    write_sounds(folder, 2)
    with Watching(tmp_path / "library", model_folder, folder) as watching:
        assert watching.until(2)[0]["clips"] == 2
        write_sounds(folder, 1, first=2)
        watching.until(3)
        # Moved in whole; not a sound at all.
        write_sounds(tmp_path / "more" / "deep", 2, first=3)
        shutil.move(tmp_path / "more", folder / "more")
        (folder / "notes.txt").write_text("no sound")
        (folder / ".hidden.wav").write_bytes(b"x")
        watching.until(5)
        (folder / "bad.wav").write_bytes(b"rubbish")
        (bad,) = watching.until(5, failed=1)
        assert list(bad["failed"]) == [str(folder / "bad.wav")]
        # A file that goes stays in the library.
        (folder / "noise_000.wav").unlink()
        write_sounds(folder, 1, first=20)
        assert watching.until(6)[-1]["clips"] == 6
        watching.process.send_signal(end)
        assert watching.process.wait(60) == 0


def test_a_manifest_is_followed(tmp_path: Path, model_folder: Path) -> None:
    write_sounds(tmp_path / "sounds", 2)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,tags\nsounds/noise_000.wav,rain\n")
    with Watching(tmp_path / "library", model_folder, manifest) as watching:
        watching.until(1)
        with manifest.open("a") as file:
            file.write("sounds/noise_001.wav,sea\n")
        assert watching.until(2)[-1]["unchanged"] == 1


def test_a_manifest_that_is_broken_for_a_while_or_put_in_place(
    tmp_path: Path, model_folder: Path
) -> None:
    write_sounds(tmp_path / "sounds", 2)
    manifest, other = tmp_path / "sounds" / "list.csv", tmp_path / "other.csv"
    manifest.write_text("path,tags\nnoise_000.wav,rain\n")
    with Watching(tmp_path / "library", model_folder, manifest) as watching:
        watching.until(1)
        manifest.write_text("half a head")
        (broken,) = watching.until(1, failed=1)
        assert "expected the columns path and tags" in broken["failed"][str(manifest)]
        # As many programs save; a sound beside the manifest is not asked for.
        write_sounds(tmp_path / "sounds", 1, first=7)
        other.write_text("path,tags\nnoise_000.wav,rain\nnoise_001.wav,sea\n")
        other.replace(manifest)
        (whole,) = watching.until(2)
        assert (len(whole["added"]), whole["failed"]) == (1, {})
        manifest.write_text(manifest.read_text() + f"noise_007.wav,{'x' * 10_000}\n")
        (long,) = watching.until(2, failed=1)
        assert "tag: expected at most 200 characters" in long["failed"][str(manifest)]
        assert watching.process.poll() is None


@pytest.mark.slow
def test_what_a_search_leaves_out_is_not_followed_and_what_it_cannot_read_is_told(
    tmp_path: Path, model_folder: Path
) -> None:
    folder, outside, closed = tmp_path / "sounds", tmp_path / "outside", tmp_path / "sounds/closed"
    write_sounds(folder, 1)
    write_sounds(outside / "deep", 1, first=1)
    write_sounds(closed, 1, first=2)
    write_sounds(tmp_path / "shut", 1, first=3)
    (folder / "out").symlink_to(outside)
    for path in (closed, tmp_path / "shut"):
        path.chmod(0)
    try:
        with Watching(folder / "library", model_folder, folder, closed) as watching:
            (first,) = watching.until(2, failed=1)
            assert first["failed"] == {str(closed): "closed: cannot be read (Permission denied)"}
            for number, place in enumerate(["library/feedback", ".Trash-1000", "@eaDir", "other"]):
                write_sounds(folder / place, 1, first=10 + number)
            (folder / "other" / "catalogue.sqlite").touch()
            write_sounds(outside / "deep", 1, first=20)
            assert [len(report["added"]) for report in watching.until(3)] == [1]
            (tmp_path / "shut").rename(folder / "shut")
            (shut,) = watching.until(3, failed=1)
            assert list(shut["failed"]) == [str(folder / "shut")]
            (outside / "deep" / "noise_020.wav").rename(folder / "owl.wav")
            (moved,) = watching.until(3)
            assert (len(moved["moved"]), moved["added"]) == (1, [])
    finally:
        for path in (closed, tmp_path / "shut", folder / "shut"):
            if path.exists():
                path.chmod(0o755)


def test_a_file_is_added_once_nobody_writes_it_any_more(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_sounds(tmp_path / "apart", 1, seconds=2)[0].read_bytes()
    slow = tmp_path / "sounds" / "slow.wav"
    slow.parent.mkdir()
    now = 0.0

    def written_slowly(*_: object, **__: object) -> Iterator[set[tuple[Change, str]]]:
        nonlocal now
        yield set()
        for start in range(0, len(whole), len(whole) // 4 + 1):
            with slow.open("ab") as file:
                file.write(whole[start : start + len(whole) // 4 + 1])
            yield {(Change.modified, str(slow))}
            now += 0.9 * watch.SETTLED_SECONDS
            yield set()
        now += 0.2 * watch.SETTLED_SECONDS
        yield set()

    monkeypatch.setattr(watchfiles, "watch", written_slowly)
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: now))
    first, added = follow(library, [slow.parent])
    assert (first.added, first.failed) == ([], {})
    assert (len(added.added), added.failed) == (1, {})
    assert library.catalogue.clip(added.added[0]).duration == pytest.approx(2)


def test_an_interrupt_that_python_drops_ends_it_too(
    tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sounds(tmp_path / "sounds", 1)
    interrupt, dropped = Interrupt(), []

    class Freed:
        def __del__(self) -> None:
            interrupt(signal.SIGINT, None)

    monkeypatch.setattr(sys, "unraisablehook", lambda what: dropped.append(what.exc_type))
    with Library.open(tmp_path / "library", embedder, create=True) as library:
        reports = follow(library, [tmp_path / "sounds"], interrupt)
        assert len(next(reports).added) == 1
        Freed()
        assert dropped == [KeyboardInterrupt]
        assert list(reports) == []
