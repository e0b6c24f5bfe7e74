"""`earmark suggest` and `earmark review export`."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.index.curation.verdicts import Verdict, judge
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.cli.main import main
from tests.index.curation import reviews


def test_a_library_gets_its_suggestions_and_what_was_decided_is_exported(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, embedder = tmp_path / "library", load_embedder(model_folder)
    with Library.open(folder, embedder, create=True) as library:
        reviews.add(library, 5)
    arguments = ["suggest", "--library", str(folder), "--model", str(model_folder)]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("5 new or changed sounds; ")
    assert "suggesting: 5/5 sounds" in printed.err
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("0 new or changed sounds; ")

    export = ["review", "export", str(tmp_path / "decided.csv"), "--library", str(folder)]
    assert main(export) == 2
    assert "expected feedback or a review to export, got none" in capsys.readouterr().err
    with Library.open(folder, embedder) as library:
        assert reviews.kept(library)
        judge(library, [Verdict("s1", "rain", "accept")])
    assert main(export) == 0
    assert capsys.readouterr().out == f"1 sounds in {tmp_path / 'decided.csv'}\n"
    assert "/sounds/s1.wav,rain," in (tmp_path / "decided.csv").read_text()
