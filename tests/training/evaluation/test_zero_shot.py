"""The zero-shot task: accuracy of the nearest label, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.model.core.errors import InputError
from earmark.model.core.manifest import ManifestRow, read_manifest
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.training.errors import CorpusError
from earmark.training.evaluation import zero_shot
from earmark.training.loop.trainer import Trainer
from tests.model.tiny import checkpoint_of
from tests.training.tiny import KINDS, QUICK, tiny_corpus, tiny_model, words_of, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), 0, 18)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    checkpoint = checkpoint_of(tiny_model())
    checkpoint.words = words_of(16)
    return DualEmbedder(checkpoint)


def test_accuracy_is_that_of_the_nearest_label(embedder: Embedder, corpus: Path) -> None:
    rows = read_manifest(corpus)
    result = zero_shot.evaluate(embedder, rows, corpus)
    labels = sorted(KINDS)
    targets = embedder.embed_tags([[label] for label in labels])
    right = [
        labels[int((targets @ embedder.embed_audio(row.path).vector).argmax())] == row.label
        for row in rows
    ]
    accuracy = result["metrics"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(np.mean(right))
    assert accuracy["runs"] == [accuracy["mean"]]
    assert result["protocol"]["chance"] == pytest.approx(1 / 3)
    assert result["protocol"]["prompts"] == {label: [label] for label in labels}
    assert np.mean(list(result["per_class"].values())) == pytest.approx(accuracy["mean"])


def test_a_trained_model_beats_chance(tmp_path: Path) -> None:
    config = tiny_model()
    trainer = Trainer(config, replace(QUICK, epochs=30), tiny_corpus(config), tmp_path)
    trainer.fit()
    corpus = write_corpus(tmp_path, 0, 18, config.features.sample_rate)
    result = zero_shot.evaluate(load_embedder(tmp_path), read_manifest(corpus), corpus)
    assert result["metrics"]["accuracy"]["mean"] > 0.6


def test_bad_clips_are_named_and_left_out(embedder: Embedder, tmp_path: Path) -> None:
    path = write_corpus(tmp_path, 0, 6)
    (tmp_path / "002.wav").write_text("broken")
    (tmp_path / "005.wav").unlink()
    result = zero_shot.evaluate(embedder, read_manifest(path), path)
    assert result["protocol"]["clips"] == 4
    assert set(result["protocol"]["failed"]) == {"002.wav", "005.wav"}
    assert set(result["per_class"]) == {"tone", "hiss"}
    with pytest.raises(CorpusError, match="none of 2 clips could be read"):
        zero_shot.evaluate(embedder, [read_manifest(path)[2], row("tone", "none.wav")], path)


def row(label: str, name: str = "a.wav") -> ManifestRow:
    return ManifestRow(Path(name), label=label)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["tone", ""], "expected a class for every clip, at least two classes"),
        (["tone", "tone"], "at least two classes"),
        ([], "at least two classes"),
        (["tone", "xyzzyx_qwrt"], "class names not understood: xyzzyx_qwrt"),
    ],
)
def test_refuses(embedder: Embedder, labels: list[str], message: str) -> None:
    with pytest.raises(InputError, match=f"^data: .*{message}"):
        zero_shot.evaluate(embedder, [row(label) for label in labels], Path("data"))


def test_labels_are_words(embedder: Embedder, corpus: Path) -> None:
    rows = [replace(row, label=f"{row.label}_clocks") for row in read_manifest(corpus)[:3]]
    result = zero_shot.evaluate(embedder, rows, corpus)
    assert result["protocol"]["prompts"]["hiss_clocks"] == ["hiss", "clock"]
