"""The sound classification tasks on small data sets of tones, noise and clicks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile

from earmark.model.audio.decode import decode
from earmark.model.checkpoint import Checkpoint
from earmark.model.core.errors import AudioError, ConfigError
from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.training.corpora.detect import read_corpus
from earmark.training.errors import CorpusError
from earmark.training.evaluation import audio_tasks, downstream
from earmark.training.evaluation.mfcc_baseline import mfcc_features
from tests.model.tiny import RATE, checkpoint_of, noise, random_words, sine, tiny_config
from tests.training import datasets

ONCE = {"repeats": 1, "seed": 0}


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return DualEmbedder(checkpoint_of(tiny_config()))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sets")
    return {
        "us8k": datasets.urbansound8k(root / "u", folds=3, clips=3),
        "esc50": datasets.esc50(root / "e", folds=3, clips=3),
        "gtzan": datasets.gtzan(root / "g", train=5, test=3),
        "nsynth": datasets.nsynth(root / "n", train=5, test=3),
    }


TASKS = ("us8k", "esc50", "gtzan", "nsynth")
SPLITS = {
    "us8k": {"1": [18, 9], "2": [18, 9], "3": [18, 9]},
    "esc50": {"1": [18, 9], "2": [18, 9], "3": [18, 9]},
    "gtzan": {"test": [15, 9]},
    "nsynth": {"test": [15, 9]},
}


# What is measured


@pytest.mark.parametrize("baseline", [False, True], ids=["model", "mfcc"])
@pytest.mark.parametrize("task", TASKS)
def test_kinds_of_sound_are_classified(
    folders: dict[str, Path], embedder: Embedder, task: str, baseline: bool
) -> None:
    rows = read_corpus(folders[task])
    model_or_none = None if baseline else embedder
    result = audio_tasks.evaluate(task, model_or_none, rows, repeats=2, seed=0)
    assert result["metrics"]["accuracy"]["mean"] > 0.85
    assert len(result["metrics"]["accuracy"]["runs"]) == 2
    assert result["classes"] == sorted({row.label for row in rows})
    tested = sum(test for _, test in SPLITS[task].values())
    assert np.sum(result["confusion"]) == 2 * tested
    protocol = result["protocol"]
    assert protocol["splits"] == SPLITS[task]
    assert protocol["clips"] == len(rows)
    assert protocol["dimensions"] == (120 if baseline else embedder.code_dim)
    assert protocol["features"].startswith("MFCC" if baseline else "mean z_a")
    assert protocol["failed"] == {}


def test_labels_at_random_are_not_learnt(folders: dict[str, Path], embedder: Embedder) -> None:
    """Each class has every kind of sound: nothing but the labels' own rows could be known."""
    rows = read_corpus(folders["us8k"])
    labels = np.random.default_rng(0).permutation([row.label for row in rows])
    mixed = [replace(row, label=str(label)) for row, label in zip(rows, labels, strict=True)]
    result = audio_tasks.evaluate("us8k", embedder, mixed, repeats=2, seed=0)
    assert result["metrics"]["accuracy"]["mean"] < 0.7


def test_the_features_are_the_mean_codes(folders: dict[str, Path], embedder: Embedder) -> None:
    rows = read_corpus(folders["esc50"])
    codes = np.stack([embedder.embed_audio(row.path).code for row in rows])
    labels, folds = [row.label for row in rows], [row.fold for row in rows]
    direct = downstream.evaluate(codes, labels, downstream.fold_splits(folds), repeats=1, seed=3)
    result = audio_tasks.evaluate("esc50", embedder, rows, repeats=1, seed=3)
    assert {**result["protocol"], **direct["protocol"]} == result["protocol"]
    for part in ("metrics", "folds", "confusion"):
        assert result[part] == direct[part]


def test_features_stand_in_the_order_of_the_clips(
    folders: dict[str, Path], embedder: Embedder
) -> None:
    paths = [row.path for row in read_corpus(folders["gtzan"])]
    features, failed = audio_tasks.extract_features(
        paths, lambda path: embedder.embed_audio(path).code
    )
    assert failed == {}
    for path, code in zip(paths, features, strict=True):
        assert np.array_equal(code, embedder.embed_audio(path).code)
    assert len(np.unique(np.stack(features), axis=0)) == len(paths)


# Clips that cannot be read


@pytest.mark.parametrize("baseline", [False, True], ids=["model", "mfcc"])
def test_bad_clips_are_named_and_left_out(
    tmp_path: Path, embedder: Embedder, baseline: bool
) -> None:
    rows = read_corpus(datasets.urbansound8k(tmp_path, folds=2, clips=3))
    broken, empty = rows[1].path, rows[9].path
    broken.write_text("no sound")
    soundfile.write(empty, np.zeros(0, np.float32), RATE)
    result = audio_tasks.evaluate("us8k", None if baseline else embedder, rows, **ONCE)
    protocol = result["protocol"]
    assert set(protocol["failed"]) == {str(broken), str(empty)}
    assert protocol["failed"][str(broken)].startswith(f"{broken.name}: ")
    assert protocol["clips"] == 16
    assert protocol["splits"] == {"1": [8, 8], "2": [8, 8]}
    # The rest keep their own labels and folds.
    assert result["metrics"]["accuracy"]["mean"] > 0.85


def test_none_can_be_read(tmp_path: Path, embedder: Embedder) -> None:
    rows = read_corpus(datasets.urbansound8k(tmp_path, folds=2, clips=2))
    for row in rows:
        row.path.write_text("no sound")
    with pytest.raises(CorpusError, match=r"^none of 12 clips can be read: .*\.wav: "):
        audio_tasks.evaluate("us8k", embedder, rows, **ONCE)


def test_a_fold_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    rows = read_corpus(datasets.urbansound8k(tmp_path, folds=2, clips=2))
    for row in rows:
        if row.fold == "2":
            row.path.write_text("no sound")
    with pytest.raises(CorpusError, match=r"fold: expected two folds or more .*, got \['1'\]"):
        audio_tasks.evaluate("us8k", None, rows, **ONCE)


# What is refused


def row(label: str, place: str) -> ManifestRow:
    """Of a file that is not there: whoever opens it fails otherwise than is expected."""
    return ManifestRow(Path("not there.wav"), label=label, fold=place, split=place)


BAD: dict[str, tuple[str, list[ManifestRow], str]] = {
    "no fold": ("us8k", [row("a", ""), row("b", "1")], "fold: expected two folds or more"),
    "one fold": ("esc50", [row("a", "1"), row("b", "1")], "fold: expected two folds or more"),
    "no test": ("gtzan", [row("a", "train")] * 2, "split: .* to train and to test, got 2 and 0"),
    "no train": ("nsynth", [row("a", "test")] * 2, "split: .* to train and to test, got 0 and 2"),
    "no class": ("us8k", [row("", "1"), row("b", "2")], "us8k: expected a class for every clip"),
    "one class": ("us8k", [row("a", "1"), row("a", "2")], "class: expected two classes or more"),
    "rare class": (
        "us8k",
        [row("a", "1"), row("a", "2"), row("b", "2")],
        "class: expected two clips or more of each, got one of 'b'",
    ),
    "none": ("us8k", [], "fold: expected two folds or more"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_corpus_is_refused_before_any_sound_is_opened(embedder: Embedder, name: str) -> None:
    task, rows, says = BAD[name]
    for model_or_none in (embedder, None):
        with pytest.raises(CorpusError, match=f"^{says}"):
            audio_tasks.evaluate(task, model_or_none, rows, **ONCE)


def test_a_good_corpus_would_have_opened_them() -> None:
    rows = [row(label, fold) for label in "ab" for fold in "12"]
    with pytest.raises(CorpusError, match=r"^none of 4 clips can be read: not there\.wav"):
        audio_tasks.evaluate("us8k", None, rows, **ONCE)


def test_a_model_that_embeds_tags_only(folders: dict[str, Path]) -> None:
    config = replace(tiny_config(), hears=False)
    model = Checkpoint(DualEncoder(config).eval(), random_words(), [])
    with pytest.raises(ConfigError, match="embeds only tags, has no audio encoder"):
        audio_tasks.evaluate("us8k", DualEmbedder(model), read_corpus(folders["us8k"]), **ONCE)


# The MFCC baseline


def test_mfcc_statistics(tmp_path: Path) -> None:
    """Mean and deviation of the coefficients, then of both differences: 2 × 60 numbers."""
    file = tmp_path / "a.wav"
    soundfile.write(file, noise(12.0), RATE)
    features = mfcc_features(file)
    assert features.shape == (120,)
    assert features.dtype == np.float32
    mfcc = librosa.feature.mfcc(y=decode(file, RATE, "a"), sr=RATE, n_mfcc=20)
    means, deviations = features[:60].reshape(3, 20), features[60:].reshape(3, 20)
    assert np.allclose(means[0], mfcc.mean(axis=1), atol=1e-3)
    assert np.allclose(deviations[0], mfcc.std(axis=1), atol=1e-3)
    # Savitzky-Golay filters of 9 frames: slope and curvature of what is fitted through them.
    around = [mfcc[:, middle - 4 : middle + 5].T for middle in range(4, mfcc.shape[1] - 4)]
    slopes = [np.polyfit(np.arange(-4, 5), frames, 1)[0] for frames in around]
    curvatures = [2 * np.polyfit(np.arange(-4, 5), frames, 2)[0] for frames in around]
    assert np.allclose(deviations[1], np.std(slopes, axis=0), rtol=0.1)
    assert np.allclose(deviations[2], np.std(curvatures, axis=0), rtol=0.1)
    assert np.abs(means[1]).max() < np.abs(means[0]).max() / 10


def test_mfcc_of_a_steady_tone_does_not_change(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    soundfile.write(file, sine(4.0), RATE)
    means, _ = np.split(mfcc_features(file).reshape(6, 20), 2)
    assert np.abs(means[1:]).max() < 0.5
    assert np.abs(means[0]).max() > 50


@pytest.mark.parametrize("samples", [112, 500, 2_000, 2_048, 2_049, 4_500])
def test_mfcc_of_clips_shorter_than_a_frame(tmp_path: Path, samples: int) -> None:
    file = tmp_path / "a.wav"
    soundfile.write(file, noise(1.0)[:samples], RATE)
    features = mfcc_features(file)
    assert features.shape == (120,)
    assert np.isfinite(features).all()


def test_mfcc_of_silence_and_of_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    soundfile.write(file, np.zeros(RATE, np.float32), RATE)
    assert np.isfinite(mfcc_features(file)).all()
    file.write_text("no sound")
    with pytest.raises(AudioError, match=r"a\.wav: "):
        mfcc_features(file)


def test_tasks_with_very_short_clips(tmp_path: Path, embedder: Embedder) -> None:
    rows = read_corpus(datasets.urbansound8k(tmp_path, folds=2, clips=2))
    short: list[dict[str, Any]] = []
    for clip in rows:
        samples, rate = soundfile.read(clip.path)
        soundfile.write(clip.path, samples[:600], rate)
    for model_or_none in (embedder, None):
        short.append(audio_tasks.evaluate("us8k", model_or_none, rows, **ONCE))
    assert all(result["protocol"]["failed"] == {} for result in short)
    assert all(result["protocol"]["clips"] == 12 for result in short)
