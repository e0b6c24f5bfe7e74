"""`earmark train` and `earmark evaluate` end to end, with their parser."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

from earmark.model.checkpoint import load, save
from earmark.model.core.errors import ConfigError
from earmark.training.cli.commands import add_commands
from earmark.training.data.phrases import suggested_words
from earmark.training.errors import CorpusError
from tests.model.tiny import checkpoint_of
from tests.training.tiny import TAGS, tiny_model, words_of, write_corpus


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(required=True))
    options = parser.parse_args([str(word) for word in words])
    return int(options.run(options))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), 30, 15)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words = words_of(16)
    save(folder, checkpoint)
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
    assert ModelCard.load(out / "README.md").data.library_name == "earmark"
    with pytest.raises(ConfigError, match="holds a run; give --resume or another folder"):
        run(*common, *small)
    assert run(*common, *small, "--resume") == 0
    assert "resuming after epoch 1" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="holds a run with other settings"):
        run(*common, *small, "--resume", "--seed", 4)


@pytest.mark.slow
def test_the_starter_and_a_model_that_begins_with_it(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first suggests words of ours, the second the corpus's tags."""
    common = ("train", "--preset", "starter", "--data", corpus, "--epochs", 1)
    cached = ("--cache", tmp_path / "cache")
    assert run(*common, *cached, "--out", tmp_path / "first") == 0
    first = load(tmp_path / "first")
    assert first.vocabulary == suggested_words()
    assert first.background is not None
    start = ("--from", tmp_path / "first")
    assert run(*common, *cached, *start, "--out", tmp_path / "second") == 0
    second = load(tmp_path / "second")
    assert set(second.vocabulary) == set(TAGS)
    assert second.card["history"][0]["train_teacher"] > 0  # what the first knew is rehearsed
    with pytest.raises(ConfigError, match="--from: the model brings its words, and needs no"):
        run(*common, *start, "--teacher", tmp_path / "a.pt", "--out", tmp_path / "third")


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


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_refuses_seeds_that_are_none(corpus: Path, tmp_path: Path, seed: int) -> None:
    message = f"--seed: expected 0 to {2**31 - 1}, got {seed}"
    data, out = ("--data", corpus), ("--out", tmp_path / "out", "--seed", seed)
    for command in (("train",), ("reproduce",)):
        with pytest.raises(ConfigError, match=message):
            run(*command, "--preset", "coala", *data, *out)
    with pytest.raises(ConfigError, match=message):
        run("evaluate", "esc50", *data, "--seed", seed)
    assert not (tmp_path / "out").exists()


def test_refuses_devices_before_any_work(corpus: Path, tmp_path: Path) -> None:
    common = ("train", "--preset", "coala", "--data", corpus, "--out", tmp_path / "out")
    for device in ("mps", "meta", "cpu:1", "nonsense"):
        with pytest.raises(ConfigError, match="device: expected cpu, cuda or cuda:N, got"):
            run(*common, "--device", device)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="'cuda' is not available: no GPU can be used here"):
            run(*common, "--device", "cuda")
    with pytest.raises(ConfigError, match="precision: expected float32 or bfloat16, got 'half'"):
        run(*common, "--precision", "half")
    assert not (tmp_path / "out").exists()


def test_refuses_folders_that_are_files_and_folds_that_are_none(
    corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    common = ("train", "--preset", "w2v-128-mean", "--data", corpus)
    with pytest.raises(ConfigError, match=r"file/features/.*: cannot be a folder"):
        run(*common, "--out", tmp_path / "file")
    with pytest.raises(CorpusError, match=r"fold: expected one of the corpus \(none\), got '3'"):
        run(*common, "--out", tmp_path / "out", "--without-fold", "3")
    with pytest.raises(ConfigError, match="--esc10: is for the tasks esc50 and zero-shot"):
        run("evaluate", "us8k", "--data", corpus, "--esc10")
