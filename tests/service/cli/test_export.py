"""`earmark export onnx`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from earmark.model.encoders.load import load_embedder
from earmark.service.cli.main import main


def test_a_model_is_exported_once(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", "onnx", "--model", str(model_folder), "--out", str(tmp_path / "onnx")]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    embedder = load_embedder(tmp_path / "onnx")
    assert (told["model"], told["fingerprint"]) == (embedder.name, embedder.fingerprint)
    assert told["bytes"]["audio.onnx"] == (tmp_path / "onnx" / "audio.onnx").stat().st_size
    assert main(command) == 2
    assert "out: expected a new or empty folder" in capsys.readouterr().err
    command[-1] = str(tmp_path / "other")
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{embedder.name} ({embedder.fingerprint})"
    assert len(lines) == 1 + len(told["bytes"])


def test_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "earmark.model.onnx_export.export", None)
    assert main(["export", "onnx", "--out", str(tmp_path / "onnx")]) == 2
    assert "pip install 'earmark[onnx-export]'" in capsys.readouterr().err


def test_ray_is_sent_no_export(
    model_folder: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = tmp_path / "onnx"
    assert main(["export", "onnx", "--model", str(model_folder), "--out", str(exported)]) == 0
    library = ["--library", str(tmp_path / "library"), "--model", str(exported)]
    assert main(["add", str(sounds), *library, "--engine", "ray"]) == 2
    assert "expected local for a model of several files, got ray" in capsys.readouterr().err
