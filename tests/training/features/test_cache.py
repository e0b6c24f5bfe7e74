"""The feature cache: computed once, shard by shard, resumable; what fails is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.training.errors import CorpusError
from earmark.training.features import cache as module
from earmark.training.features.cache import FeatureSet, load_features
from tests.model.tiny import RATE, default_features, noise

CONFIG = default_features(min_seconds=1.0)


def sounds(folder: Path, lengths: Sequence[float]) -> list[Path]:
    paths = [folder / f"{number}.wav" for number in range(len(lengths))]
    for number, (path, seconds) in enumerate(zip(paths, lengths, strict=True)):
        soundfile.write(path, noise(seconds, seed=number), RATE, subtype="FLOAT")
    return paths


def test_features_are_those_of_the_files(tmp_path: Path) -> None:
    paths = sounds(tmp_path, [0.5, 3.0, 2.5])
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    features = load_features([*paths[:2], bad, paths[2]], CONFIG, tmp_path / "cache", workers=1)
    assert len(features) == 4
    assert features.frames.dtype == np.float16
    assert features.readable.tolist() == [True, True, False, True]
    [(name, reason)] = features.failed.items()
    assert name == str(bad)
    assert reason.startswith("bad.wav: not a sound this can read")
    log_mel = LogMel(CONFIG, mel_filters(CONFIG))
    expected = log_mel(noise(3.0, seed=1))
    np.testing.assert_allclose(features.clip(1).astype(np.float32), expected, atol=0.02)
    short = features.clip(0).astype(np.float32)
    assert len(short) == CONFIG.frames  # padded with silence to one window
    np.testing.assert_allclose(short[60:], np.log(CONFIG.log_offset), rtol=1e-3)
    assert len(features.clip(2)) == 0


def test_the_cache_is_used_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.training.features.shards.SHARD_CLIPS", 2)
    paths = sounds(tmp_path, [1.0] * 5)
    cache = tmp_path / "cache"
    first = load_features(paths, CONFIG, cache, workers=1)
    shards = sorted(cache.glob("*/*"))
    assert [shard.name for shard in shards] == [f"shard-0000{number}.npz" for number in range(3)]
    written = [shard.stat().st_mtime_ns for shard in shards]
    shards[1].unlink()
    again = load_features(paths, CONFIG, cache, workers=1)
    assert [
        shard.stat().st_mtime_ns == time for shard, time in zip(shards, written, strict=True)
    ] == [
        True,
        False,
        True,
    ]
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.offsets, again.offsets)


def test_a_hit_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sounds(tmp_path, [1.0])
    first = load_features(paths, CONFIG, tmp_path / "cache", workers=1)

    def no_work(*args: object, **options: object) -> None:
        raise AssertionError("nothing is left to compute")

    monkeypatch.setattr(module, "_write_shard", no_work)
    hit = load_features(paths, CONFIG, tmp_path / "cache")
    np.testing.assert_array_equal(hit.frames, first.frames)
    with pytest.raises(AssertionError, match="nothing is left"):
        load_features(paths, default_features(hop=256), tmp_path / "cache")
    soundfile.write(paths[0], noise(1.2), RATE)
    with pytest.raises(AssertionError, match="nothing is left"):
        load_features(paths, CONFIG, tmp_path / "cache")


def test_a_missing_sound_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.wav: cannot be read \(No such file"):
        load_features([tmp_path / "none.wav"], CONFIG, tmp_path / "cache")


def test_clips_of_more_than_a_minute_are_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(61 * 8000), 8000)
    shard = tmp_path / "shard.npz"
    module._write_shard([tmp_path / "long.wav"], shard, CONFIG)
    features = module._read_shards([shard])
    assert list(features.failed.values()) == ["long.wav: expected at most 60 s of sound, got more"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_clips_are_slices_of_the_frames() -> None:
    frames = np.arange(12, dtype=np.float16).reshape(6, 2)
    features = FeatureSet(frames, np.array([0, 2, 2, 6]), {})
    assert len(features) == 3
    assert features.clip(0).tolist() == [[0, 1], [2, 3]]
    assert features.clip(2).shape == (4, 2)
    assert features.readable.tolist() == [True, False, True]
