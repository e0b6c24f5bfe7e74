"""The command's answers to bad input: one line on standard error, exit 2; failed work: exit 1.

In this process, with the tiny model: what is tested is the same code without its start.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from earmark.service.cli.main import main
from tests.index import made
from tests.service import sounds

BAD = sounds.bad()
GOOD = sounds.odd_but_good()
Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, arguments: list[object], says: str, status: int = 2) -> str:
    """The one line with which a command refuses."""
    try:
        assert main([*map(str, arguments)]) == status
    except SystemExit as error:  # the parser's own refusals
        assert error.code == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("earmark")
    assert says in err
    return err


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A good sound's file."""
    file = tmp_path / "sound.wav"
    file.write_bytes(sounds.noise())
    return file


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_sound(
    capsys: Capture, tmp_path: Path, model_folder: Path, library_folder: Path, name: str
) -> None:
    data, says = BAD[name]
    file = tmp_path / name
    file.write_bytes(data)
    model = ["--model", model_folder]
    for command in (
        ["tag", file],
        ["classify", file, "--labels", "dog,rain"],
        ["similar", file, "--library", library_folder],
    ):
        refused(capsys, [*command, *model], f"{name}: ")
    refused(capsys, ["tag", file, *model], says)


@pytest.mark.parametrize("name", GOOD)
def test_rare_formats(capsys: Capture, tmp_path: Path, model_folder: Path, name: str) -> None:
    (tmp_path / "sound.wav").write_bytes(GOOD[name])
    arguments = ["tag", str(tmp_path / "sound.wav"), "--model", str(model_folder)]
    assert main([*arguments, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tags"]) == 10
    assert main(arguments) == 0
    assert capsys.readouterr().out.count("%") == 10


def test_files_that_are_not_there_or_folders(
    capsys: Capture, tmp_path: Path, model_folder: Path
) -> None:
    for path in (tmp_path / "missing.wav", tmp_path):
        refused(capsys, ["tag", path, "--model", model_folder], f"{path.name}: no such file")


@pytest.mark.parametrize(
    ("k", "says"),
    [("0", "got 0"), ("-1", "got -1"), ("1000000", "got 1000000"), ("ten", "invalid int value")],
)
def test_k_has_bounds(
    capsys: Capture, model_folder: Path, library_folder: Path, sound: Path, k: str, says: str
) -> None:
    more = ["--model", model_folder, "-k", k]
    library = ["--library", library_folder]
    refused(capsys, ["search", "dog", *library, *more], says)
    refused(capsys, ["similar", sound, *library, *more], says)
    refused(capsys, ["tag", sound, *more], says)


def test_queries_without_words_or_without_end(
    capsys: Capture, model_folder: Path, library_folder: Path
) -> None:
    more = ["--model", model_folder, "--library", library_folder]
    refused(capsys, ["search", "", *more], "expected words to search for, got nothing")
    refused(capsys, ["search", "  ", *more], "expected words to search for, got nothing")
    err = refused(capsys, ["search", "x" * 10_000, *more], "at most 500 characters, got 10000")
    assert len(err) < 200
    refused(capsys, ["search", *more], "required: text")


@pytest.mark.parametrize("query", ["🐕", "zzzqqq", '"', "' OR 1=1 --", "\udcff", "a*b(c)"])
def test_words_that_are_not_understood_are_said_to_be(
    capsys: Capture, model_folder: Path, library_folder: Path, query: str
) -> None:
    arguments = ["search", query, "--model", str(model_folder), "--library", str(library_folder)]
    assert main([*arguments, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["understood"] == []
    assert body["ignored"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "nothing found" in out
    assert "not used: " in out


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("", "expected 2 to 200 different ones, got 0"),
        ("dog", "expected 2 to 200 different ones, got 1"),
        ("dog,zzzqqq", "not understood: 'zzzqqq'"),
        ("dog,🐕", "not understood: '🐕'"),
    ],
)
def test_labels_that_cannot_be_used(
    capsys: Capture, model_folder: Path, sound: Path, labels: str, says: str
) -> None:
    more = ["--labels", labels, "--model", model_folder]
    refused(capsys, ["classify", sound, *more], f"labels: {says}")


def test_libraries_that_cannot_be_used(
    capsys: Capture, tmp_path: Path, model_folder: Path, other_model: Path, library_folder: Path
) -> None:
    other = ["--library", library_folder, "--model", other_model]
    for command in (["search", "dog"], ["info"], ["remove", "x"], ["add", tmp_path]):
        err = refused(capsys, [*command, *other], "made by the model")
        assert f"earmark add {library_folder} --library NEW_FOLDER" in err
    none = ["--library", tmp_path / "none", "--model", model_folder]
    for command in (["search", "dog"], ["info"], ["remove", "x"]):
        refused(capsys, [*command, *none], "expected a folder made by `earmark add`")
    assert not (tmp_path / "none").exists()
    (tmp_path / "catalogue.sqlite").write_text("This is not a database." * 100)
    broken = ["--library", tmp_path, "--model", model_folder]
    for command in (["search", "dog"], ["info"], ["add", library_folder]):
        refused(capsys, [*command, *broken], "the catalogue is damaged", status=1)


def test_the_way_out_for_another_models_library_works(
    capsys: Capture, tmp_path: Path, other_model: Path, library_folder: Path
) -> None:
    arguments = ["add", library_folder, "--library", tmp_path / "new", "--model", other_model]
    assert main([*map(str, arguments), "--json"]) == 1  # the file that has gone
    report = json.loads(capsys.readouterr().out)
    assert len(report["added"]) == 5
    assert [Path(path).name for path in report["failed"]] == ["gone.wav"]


def test_models_that_cannot_be_used(
    capsys: Capture, tmp_path: Path, model_folder: Path, sound: Path
) -> None:
    data = (model_folder / "model.safetensors").read_bytes()
    file = tmp_path / "model.safetensors"
    for harmed in (data[: len(data) // 2], data[:5], b"", bytes(len(data))):
        file.write_bytes(harmed)
        refused(capsys, ["tag", sound, "--model", file], "truncated or not a model file")
    flipped = bytearray(data)
    flipped[-100] ^= 1
    file.write_bytes(flipped)
    refused(capsys, ["tag", sound, "--model", file], "altered since it was written")
    refused(capsys, ["tag", sound, "--model", tmp_path / "none"], "expected a model file")


def test_adding_what_cannot_be_added(capsys: Capture, tmp_path: Path, model_folder: Path) -> None:
    into = ["--library", tmp_path / "library", "--model", model_folder]
    refused(capsys, ["add", *into], "expected a file, folder or manifest to add, got none")
    refused(capsys, ["add", tmp_path / "none.wav", *into], "no such file or folder")
    (tmp_path / "list.csv").write_text("name\nx.wav\n")
    for way in (["add"], ["add", "--manifest"]):
        refused(capsys, [*way, tmp_path / "list.csv", *into], "expected the columns path and tags")

    (tmp_path / "text.wav").write_text("no sound")
    good = made.write_sounds(tmp_path / "sounds", 1)[0]
    assert main([*map(str, ["add", good, tmp_path / "text.wav", *into])]) == 1
    out, err = capsys.readouterr()
    assert (
        out == f"added 1, described 0, unchanged 0, failed 1; 1 clips in {tmp_path / 'library'}\n"
    )
    assert f"failed: {tmp_path / 'text.wav'}: text.wav: not a sound this can read" in err
    refused(capsys, ["remove", "nothing", *into], "no clip 'nothing' in this library")


def test_commands_and_presets_that_are_not_known(capsys: Capture, tmp_path: Path) -> None:
    refused(capsys, [], "required: COMMAND")
    refused(capsys, ["dance"], "invalid choice: 'dance'")
    arguments = ["train", "--preset", "huge", "--data", tmp_path, "--out", tmp_path / "out"]
    err = refused(capsys, arguments, "preset: expected one of ")
    for name in ("w2v-128-1h", "w2v-1152-4h", "w2v-128-mean", "coala", "starter", "got 'huge'"):
        assert name in err
