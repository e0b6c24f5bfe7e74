"""`earmark label`: a table for people, files for other programs, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import crowsetta
import pytest

from earmark.model.core import progress
from earmark.model.timeline.label_files import FORMATS
from earmark.service.cli.label import FORMAT_NAMES
from earmark.service.cli.main import main
from earmark.service.schemas.timeline import TimelineFormat
from tests.model import tiny

Run = Callable[..., int]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("label") / "a.wav", tiny.noise(9.0))


@pytest.fixture
def label(sound: Path, model_folder: Path) -> Run:
    def run(*arguments: object) -> int:
        return main(["label", str(sound), "--model", str(model_folder), *map(str, arguments)])

    return run


def test_a_table_for_people(label: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert label("--tags", "dog,rain xyzzy", "--tags", "car") == 0
    *rows, last = capsys.readouterr().out.splitlines()
    assert rows
    assert all(row.split()[1] == "–" and "%" in row for row in rows)
    assert last == "not used: xyzzy"


def test_json_to_standard_output(label: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert label("--suggested", "--format", "json") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out)["duration"] == pytest.approx(9.0)


def test_a_file_by_its_name(label: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "labels.txt"
    assert label("--tags", "dog,rain", "-o", out) == 0
    labels = crowsetta.formats.by_name("aud-seq").from_file(out).to_seq().labels
    assert set(labels) <= {"dog", "rain"}
    assert capsys.readouterr().out == f"{out}: {len(labels)} events\n"
    before = out.read_bytes()
    assert label("--tags", "car", "-o", out) == 2
    assert capsys.readouterr().err == (
        f"earmark label: {out}: is there already; --force overwrites it\n"
    )
    assert out.read_bytes() == before
    assert label("--tags", "car", "-o", out, "--force", "--format", "csv") == 0
    assert out.read_text().startswith("onset,offset,tag,score")


def test_a_selection_table_by_its_name(label: Run, tmp_path: Path) -> None:
    out = tmp_path / "a.Selections.txt"
    assert label("--tags", "dog,rain", "-o", out) == 0
    assert out.read_text().startswith("Selection\tView\tChannel\t")


def test_the_formats_are_those_of_the_service() -> None:
    assert FORMAT_NAMES == tuple(FORMATS) == get_args(TimelineFormat)


def test_what_takes_long_says_how_far_it_is(
    label: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    assert label("--tags", "dog") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] in ("hearing: 8 s", "hearing: 9 s")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["-o", "labels.doc"],
            "-o: expected .json, .csv, .txt, .selections.txt or a --format, got 'labels.doc'",
        ),
        (["--tags", "!?"], "--tags: not understood: '!?'"),
        (["--tags", " , "], "--tags: expected 1 to 200 different ones, got 0"),
    ],
)
def test_what_is_refused(
    label: Run, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert label(*arguments) == 2
    assert capsys.readouterr().err == f"earmark label: {message}\n"


def test_a_folder_that_is_not_there(
    label: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert label("--tags", "dog", "-o", tmp_path / "no" / "a.csv") == 1
    assert "cannot be written (No such file or directory)" in capsys.readouterr().err
