"""Progress goes to standard error, in lines where there is no terminal."""

from __future__ import annotations

import io
import sys

import pytest

from earmark.model.core import progress as module
from earmark.model.core.progress import Progress, clock, progress


def test_lines_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    with progress("adding", 4) as bar:
        bar.step(note="a.wav")
        bar.step(2)
        bar.write("b.wav: not a sound")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0].startswith("adding: 1/4 clips, ")
    assert lines[0].endswith("a.wav")
    assert lines[1].startswith("adding: 3/4 clips, ")
    assert lines[2] == "b.wav: not a sound"


def test_quick_work_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("embedding", 100, "files") as bar:
        for _ in range(100):
            bar.step()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("embedding: 100/100 files")


def test_long_work_is_told_before_a_step_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    with progress("adding", 2, "files") as bar:
        bar.step(0, f"night.flac: {clock(3_723.9)} heard")
        bar.step(1, "")
        bar.step(0, "day.flac: 0:10:00 heard")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "adding: 0/2 files, night.flac: 1:02:03 heard"
    assert lines[1].startswith("adding: 1/2 files, ")
    assert lines[1].endswith(" s left")
    assert " left" not in lines[2]  # nobody knows how long that file is


def test_work_of_unknown_length(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress("hearing", 0, "s") as bar:
        bar.step(3)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    with progress("hearing", 0, "s") as bar:
        bar.step(3)
    assert capsys.readouterr().err == "hearing: 3 s\n"


def test_a_bar_shows_it_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("adding", 1, "files") as bar:
        bar.step(0, "night.flac: 0:02:44 heard")
        assert "night.flac: 0:02:44 heard" in terminal.getvalue()


def test_it_is_closed_when_the_work_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with progress("adding", 9) as bar:
            bar.step(3)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        work()
    assert "adding: 3/9" in capsys.readouterr().err


def test_nothing_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Progress("adding", 0, "clips").close()
    assert capsys.readouterr().err == ""
