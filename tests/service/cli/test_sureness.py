"""What the command line prints of how sure hits are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from earmark.service.cli.main import main


def printed(
    capsys: pytest.CaptureFixture[str], model: Path, library: Path, *arguments: object
) -> str:
    command = [*map(str, arguments), "--model", str(model), "--library", str(library)]
    assert main(command) == 0
    return capsys.readouterr().out


def test_each_hit_has_a_word_and_a_line_is_drawn(
    capsys: pytest.CaptureFixture[str],
    judging_model: Path,
    library_folder: Path,
    model_folder: Path,
) -> None:
    ask = ["search", "dog", "-k", 6]
    hits = json.loads(printed(capsys, judging_model, library_folder, *ask, "--json"))["hits"]
    words = [hit["confidence"] for hit in hits]
    assert words == ["sure", *["unlikely"] * 5]
    lines = printed(capsys, judging_model, library_folder, *ask).splitlines()
    line = "     less likely from here:"
    assert [number for number, text in enumerate(lines) if text == line] == [2]
    shown = [text for text in lines if text != line][::2]
    for text, hit in zip(shown, hits, strict=True):
        percent = math.floor(100 * hit["probability"])
        assert text.split()[2:4] == [hit["confidence"], f"{percent}%" if percent else "<1%"]
    plain = printed(capsys, model_folder, library_folder, *ask)
    assert "likely" not in plain
    assert "sure" not in plain


def test_nothing_likely_is_said_so(
    capsys: pytest.CaptureFixture[str],
    judging_model: Path,
    library_folder: Path,
    sounds: Path,
) -> None:
    ask = ["similar", sounds / "dog.wav", "-k", 6]
    found = json.loads(printed(capsys, judging_model, library_folder, *ask, "--json"))
    least = max(hit["probability"] for hit in found["hits"])
    ask += ["--min-probability", least]
    only = json.loads(printed(capsys, judging_model, library_folder, *ask, "--json"))
    assert [hit["probability"] for hit in only["hits"]] == [least]
    assert only["sure"] == found["sure"] == 1
    unlike = printed(capsys, judging_model, library_folder, "search", "guitar", "-k", 2)
    assert unlike.startswith("nothing here sounds like that; the nearest:\n  1 ")
    none = ["search", "dog", "--min-probability", 1]
    assert printed(capsys, judging_model, library_folder, *none) == "nothing found\n"
    command = ["search", "dog", "--min-probability", "2"]
    assert main([*command, "--model", str(judging_model), "--library", str(library_folder)]) == 2
    assert "--min-probability: expected 0 to 1, got 2" in capsys.readouterr().err
