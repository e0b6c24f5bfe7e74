"""`earmark cut`, and times on the command line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.model.core import progress
from earmark.service.cli.main import main
from earmark.service.cli.times import clock, seconds_of
from tests.model.tiny import noise, write
from tests.service.cli.test_cli_bad import refused

RATE = 8_000
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound of 70 seconds, in a folder that is not the working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return write(tmp_path / "night.flac", np.tile(noise(10, RATE), 7), RATE, subtype="PCM_24")


def test_the_file_is_the_stretch(capsys: Capture, night: Path) -> None:
    whole, _ = soundfile.read(night, dtype="int32")
    assert main(["cut", str(night), "1:02.5", "65"]) == 0
    out = Path("night 62.5-65.0 s.wav")
    assert capsys.readouterr().out == f"{out}: 2.500 s at 8000 Hz\n"
    found, rate = soundfile.read(out, dtype="int32")
    assert (rate, soundfile.info(out).subtype) == (RATE, "PCM_24")
    np.testing.assert_array_equal(found, whole[500_000:520_000])
    assert main(["cut", str(night), "60", "9:00:00", "-o", "end.FLAC"]) == 0
    assert capsys.readouterr().out == "end.FLAC: 10.000 s at 8000 Hz\n"
    found, _ = soundfile.read("end.FLAC", dtype="int32")
    np.testing.assert_array_equal(found, whole[480_000:])
    assert sorted(path.name for path in Path().iterdir()) == ["end.FLAC", out.name]


def test_the_name_tells_where_the_stretch_ends(capsys: Capture, night: Path) -> None:
    out = Path("night 69.0-70.0 s.wav")
    assert main(["cut", str(night), "69", "80"]) == 0
    assert capsys.readouterr().out == f"{out}: 1.000 s at 8000 Hz\n"
    refused(capsys, ["cut", night, "69", "90"], f"{out}: is there already")
    assert main(["cut", str(night), "69", "90", "--force"]) == 0
    assert [path.name for path in Path().iterdir()] == [out.name]


def test_long_names_are_shortened(capsys: Capture, night: Path) -> None:
    long = night.rename(night.with_name(f"{'é' * 122}.flac"))
    assert main(["cut", str(long), "1", "2"]) == 0
    assert capsys.readouterr().out.startswith(f"{'é' * 90} 1.0-2.0 s.wav: 1.000 s")
    out = "x" * 300 + ".wav"
    refused(capsys, ["cut", long, "1", "2", "-o", out], "cannot be written (File name too", 1)


def test_what_takes_long_says_how_far_it_is(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, night: Path
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    assert main(["cut", str(night), "50", "60"]) == 0
    first, *_, last = capsys.readouterr().err.splitlines()
    assert (first, last) == ("cutting: 0 s, decoding what lies before", "cutting: 10 s")


def test_nothing_is_overwritten_unless_it_is_said(capsys: Capture, night: Path) -> None:
    Path("out.wav").write_text("mine")
    arguments = ["cut", night, "1", "2", "-o", "out.wav"]
    refused(capsys, arguments, "out.wav: is there already; --force overwrites it")
    assert Path("out.wav").read_text() == "mine"
    assert main([*map(str, arguments), "--force"]) == 0
    assert soundfile.info("out.wav").frames == RATE


@pytest.mark.parametrize(
    ("arguments", "says", "status"),
    [
        (["2", "1"], "end: expected seconds after the start, 2, got 1", 2),
        (["1", "1"], "end: expected seconds after the start, 1, got 1", 2),
        (["1:30", "1:40"], "start: expected less than the sound's 70 s, got 90", 2),
        (["-1", "2"], "argument START: expected seconds (12.5), m:s (1:05)", 2),
        (["1", "soon"], "got 'soon'", 2),
        (["1"], "required: END", 2),
        (["1", "2", "-o", "a.mp3"], "expected a name that ends in .wav or .flac, got 'a.mp3'", 2),
        (["1", "2", "-o", "no/a.wav"], "no/a.wav: cannot be written (No such file", 1),
    ],
)
def test_what_cannot_be_cut(
    capsys: Capture, night: Path, arguments: list[object], says: str, status: int
) -> None:
    refused(capsys, ["cut", night, *arguments], says, status)
    assert list(Path().iterdir()) == []


def test_files_that_are_no_sound(capsys: Capture, tmp_path: Path, night: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    refused(capsys, ["cut", tmp_path / "text.wav", "1", "2"], "text.wav: not a sound")
    refused(capsys, ["cut", tmp_path / "none.wav", "1", "2"], "none.wav: no such file")
    refused(capsys, ["cut", ".", "1", "2"], "earmark cut: .: no such file")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("12.5", 12.5), ("1:05", 65), ("90:00", 5_400), ("1:02:03.25", 3_723.25)],
)
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-1", "1:60", "1:60:00", "1:2:3:4", "1e3", "nan", "1:", ":5", "٣", "1,5", " 1"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected seconds"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "digits", "text"),
    [(0, 0, "0:00"), (59.96, 1, "1:00.0"), (19.84, 1, "0:19.8"), (3_723.25, 0, "1:02:03")],
)
def test_clock(seconds: float, digits: int, text: str) -> None:
    assert clock(seconds, digits) == text


def test_asking_with_a_stretch(
    capsys: Capture, tmp_path: Path, model_folder: Path, library_folder: Path, sounds: Path
) -> None:
    more = ["--library", str(library_folder), "--model", str(model_folder), "--json"]
    long, part = str(sounds / "long.wav"), str(tmp_path / "part.wav")
    assert main(["cut", long, "3", "6", "-o", part]) == 0
    capsys.readouterr()
    found = []
    for arguments in ([part], [long, "--start", "0:03", "--end", "6"], [long]):
        assert main(["similar", *arguments, *more]) == 0
        hits = json.loads(capsys.readouterr().out)["hits"]
        found.append([(hit["id"], round(hit["cosine"], 4)) for hit in hits])
    assert found[0] == found[1] != found[2]
    assert main(["similar", long, *more[:-1]]) == 0
    assert "Waves for a long time  at 0:" in capsys.readouterr().out
    assert main(["similar", long, "--moments", "0", *more]) == 0
    assert not any(hit["moments"] for hit in json.loads(capsys.readouterr().out)["hits"])
    says = "--moments: expected 0 to 10, got 11"
    refused(capsys, ["search", "sea", "--moments", "11", *more], says)
    refused(capsys, ["similar", long, "--start", "3", "--end", "3", *more], "end: expected seconds")
    refused(capsys, ["similar", long, "--start", "14", *more], "start: expected less than")
