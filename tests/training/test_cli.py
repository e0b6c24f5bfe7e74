"""`earmark train` and `earmark evaluate` end to end, with their parser."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from model.checkpoint import load, save
from model.errors import ConfigError
from tests.model.tiny import checkpoint_of
from tests.training.tiny import tiny_model, words_of, write_corpus
from training import cli


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers(required=True))
    options = parser.parse_args([str(word) for word in words])
    return int(options.run(options))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), 30, 15)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    made = checkpoint_of(tiny_model())
    made.words = words_of(16)
    save(folder, made)
    return folder


def test_train_resume_and_refuse(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    common = ("train", "--preset", "w2v-128-mean", "--data", corpus, "--out", out, "--epochs", 1)
    with pytest.raises(ConfigError, match="epochs: expected at least 1, got 0"):
        run(*common[:-1], 0)
    with pytest.raises(ConfigError, match="preset: expected one of"):
        run("train", "--preset", "nope", "--data", corpus, "--out", out)
    assert not out.exists()
    small = ("--cache", tmp_path / "cache")
    assert run(*common, *small) == 0
    assert f"best model: {out}" in capsys.readouterr().out
    assert load(out).model.config.name == "w2v-128-mean"
    with pytest.raises(ConfigError, match="holds a run; give --resume or another folder"):
        run(*common, *small)
    assert run(*common, *small, "--resume") == 0
    assert "resuming after epoch 1" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="holds a run with other settings"):
        run(*common, *small, "--resume", "--seed", 4)


@pytest.mark.parametrize("task", ("zero-shot", "retrieval"))
def test_evaluate_prints_one_object(
    corpus: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    common = ("evaluate", task, "--data", corpus, "--model", model, "--cache", tmp_path / "cache")
    assert run(*common, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["task"] == task
    assert result["model"] == {"name": "starter", "fingerprint": load(model).fingerprint}
    for figure in result["metrics"].values():
        assert set(figure) == {"mean", "std", "runs"}
    assert run(*common) == 0
    assert task in capsys.readouterr().out
