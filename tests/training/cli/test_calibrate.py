"""`earmark calibrate` end to end: only the card changes, and the same way each time."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from earmark.model.checkpoint import load, save
from earmark.model.core.errors import ConfigError
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import FILE_NAME
from earmark.training.cli.commands import add_commands
from earmark.training.errors import CorpusError
from tests.model.tiny import checkpoint_of, random_words
from tests.training.tiny import TAGS, tiny_model, words_of, write_corpus


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(required=True))
    options = parser.parse_args(["calibrate", *map(str, words)])
    return int(options.run(options))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), 30, 18)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words, checkpoint.vocabulary = words_of(16), TAGS
    checkpoint.card |= {
        "temperature": 0.2,
        "validation_groups": [str(number) for number in range(30, 48)],
    }
    save(tmp_path / "model", checkpoint)
    return tmp_path / "model"


def test_only_the_card_changes(
    corpus: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, bytes_before = load(model), (model / FILE_NAME).read_bytes()
    common = ("--model", model, "--data", corpus, "--cache", tmp_path / "cache")
    assert run(*common, "--out", tmp_path / "out", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["clips"], result["sources"], result["folds"]) == (18, 18, 7)
    assert result["model"]["fingerprint"] == before.fingerprint
    assert "thresholds" not in result
    assert (model / FILE_NAME).read_bytes() == bytes_before
    after = load(tmp_path / "out")
    assert after.fingerprint == before.fingerprint
    assert after.card.items() >= before.card.items()
    assert after.card.keys() - before.card.keys() == {"calibration", "class_temperature", "company"}
    assert after.card["calibration"]["temperature"] == 0.2
    assert run(*common) == 0  # in its place, and the same
    assert f"in {model}: calibrated on 18 clips of 18 sources" in capsys.readouterr().out
    assert (model / FILE_NAME).read_bytes() == (tmp_path / "out" / FILE_NAME).read_bytes()
    embedder = load_embedder(model)
    assert embedder.calibration.thresholds.shape == (len(TAGS),)
    np.testing.assert_array_equal(
        embedder.vocabulary_vectors, DualEmbedder(before).vocabulary_vectors
    )


def test_an_export_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "export.safetensors").touch()
    with pytest.raises(ConfigError, match="--model: expected the model itself, got its export"):
        run("--model", tmp_path, "--data", tmp_path / "missing")


def test_several_corpora_are_one(
    corpus: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_corpus(tmp_path, 3, 45)  # of the groups that validate, all 18 again
    out = tmp_path / "out"
    assert run("--model", model, "--data", corpus, "--data", other, "--out", out, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["clips"], result["sources"]) == (36, 18)
    assert result["company"]["clips"] == 36


def test_a_corpus_that_did_not_train_the_model_is_named(
    corpus: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        run("--model", model, "--data", corpus, "--out", tmp_path / "out")
    assert "are not those that trained the model" in caplog.text


def test_clips_without_a_tag_of_the_model_are_refused(
    corpus: Path, model: Path, tmp_path: Path
) -> None:
    checkpoint = load(model)
    checkpoint.words, checkpoint.vocabulary = random_words(16), ["dog"]
    save(tmp_path / "other", checkpoint)
    with pytest.raises(CorpusError, match="no clip that validates carries a tag of the model's"):
        run("--model", tmp_path / "other", "--data", corpus)
    assert load(tmp_path / "other").card == checkpoint.card
