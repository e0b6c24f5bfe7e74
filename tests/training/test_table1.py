"""`earmark reproduce`: a row of the table, from sounds with tags, classes and folds."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earmark.model.checkpoint import load
from earmark.model.core.errors import ConfigError
from earmark.service.cli.main import main
from earmark.training.errors import CorpusError
from earmark.training.loop.device import DeviceSettings
from earmark.training.table1 import Table1Settings, baseline, reproduce
from tests.model.tiny import RATE
from tests.training.tiny import KINDS, sound

FOLDS = "123"
COLUMNS = ("path", "tags", "class", "fold")


def write(folder: Path, clips: int, tags: bool = True) -> Path:
    """So many clips a fold; the kinds of sound take turns."""
    generator, kinds = np.random.default_rng(5), list(KINDS)
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        for fold in FOLDS:
            for number in range(clips):
                kind = kinds[number % 3]
                name = f"{fold}-{number}.wav"
                soundfile.write(folder / name, sound(kind, generator), RATE)
                lines.writerow([name, " ".join(KINDS[kind]) if tags else "", kind, fold])
    return folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("one") / "sounds", clips=18)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("two") / "others", clips=6, tags=False)


def settings_for(preset: str, data: Path, out: Path, **changes: Any) -> Table1Settings:
    common = {"transfer": None, "epochs": 1, "batch_size": 16, "repeats": 2}
    return Table1Settings(
        preset=preset, data=data, out=out, cache=data / "cache", **(common | changes)
    )


def test_a_row(sounds: Path, others: Path, tmp_path: Path) -> None:
    preset = "coala"  # the one with most parts
    result = reproduce(settings_for(preset, sounds, tmp_path, transfer=others), DeviceSettings())
    metrics, protocol = result["metrics"], result["protocol"]
    assert set(metrics) == {"us8k", "us8k-tags", "transfer"}
    assert all(len(task_metrics["runs"]) == 2 for task_metrics in metrics.values())
    assert metrics["us8k"]["mean"] > 0.6  # chance is a third
    assert metrics["us8k-tags"]["mean"] > 0.9  # each class has tags of its own
    assert protocol["left_out_in_turn"] == list(FOLDS)
    assert protocol["clips"] == [54, 18]
    assert protocol["recipe"]["epochs"] == 1
    for name in metrics:
        rotations = protocol["by_rotation"][name]
        assert len(rotations) == 3
        assert metrics[name]["mean"] == pytest.approx(np.mean(rotations), abs=1e-6)
    for fold in FOLDS:
        card = load(tmp_path / f"without-{fold}").card
        assert card["without_fold"] == fold
        assert card["train_clips"] + card["validation_clips"] == 36
    # Again: nothing is trained, the same comes out.
    stamps = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    again = reproduce(settings_for(preset, sounds, tmp_path, transfer=others), DeviceSettings())
    assert again["metrics"] == metrics
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps


def test_the_baseline(sounds: Path, others: Path, tmp_path: Path) -> None:
    result = baseline(settings_for("mfcc", sounds, tmp_path, transfer=others))
    assert set(result["metrics"]) == {"us8k", "transfer"}
    assert result["metrics"]["us8k"]["mean"] > 0.9
    assert list(tmp_path.iterdir()) == []


def test_the_command(sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["reproduce", "--data", str(sounds), "--out", str(tmp_path), "--repeats", "1"]
    assert main([*command, "--preset", "mfcc", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["task"], result["model"]["name"]) == ("reproduce", "mfcc")
    assert main([*command, "--preset", "mfcc"]) == 0
    assert "us8k   " in capsys.readouterr().out
    assert main([*command, "--preset", "w2v-9"]) == 2
    assert "preset: expected one of w2v-128-1h" in capsys.readouterr().err
    assert main([*command, "--preset", "coala", "--precision", "half"]) == 2
    assert "precision: expected float32 or bfloat16, got 'half'" in capsys.readouterr().err


def test_refuses_what_cannot_be_a_row(sounds: Path, tmp_path: Path) -> None:
    untagged = write(tmp_path / "untagged", clips=3, tags=False)
    with pytest.raises(CorpusError, match="expected tags to train on, got none"):
        reproduce(settings_for("coala", untagged, tmp_path / "out"), DeviceSettings())
    with pytest.raises(ConfigError, match="batch_size: expected at least 1, got 0"):
        reproduce(settings_for("coala", sounds, tmp_path / "out", batch_size=0), DeviceSettings())
    (untagged / "2-1.wav").write_text("no sound")
    with pytest.raises(CorpusError, match=r"all to be sounds, 1 are not: 2-1\.wav: "):
        baseline(settings_for("mfcc", untagged, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
