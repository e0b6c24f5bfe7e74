"""What tests of commands on a library share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from earmark.service.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, library_folder: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs the command on a copy of a library of six sounds, of which the file of one has gone."""
    library = shutil.copytree(library_folder, tmp_path / "library")

    def run(*arguments: object) -> tuple[int, str, str]:
        where = ["--library", str(library), "--model", str(model_folder)]
        status = main([*map(str, arguments), *where])
        return status, *capsys.readouterr()

    return run
