"""The authors' published HDF5 features: read, unscaled, refused when they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from earmark.model.config import FeatureConfig, preset
from earmark.model.core.errors import ConfigError
from earmark.training.corpora import published
from earmark.training.data.corpus import load_corpus
from earmark.training.errors import CorpusError
from earmark.training.recipe import recipe_for

TOKENS = ["dog", "rain", "drum"]
CONFIG = FeatureConfig()


def write(folder: Path, *, scaler: bool = True, **changes: np.ndarray) -> Path:
    """A small data set in the authors' layout; `changes` replace arrays of the training file."""
    generator = np.random.default_rng(0)
    for name, count in (("spec_tags_top_1000", 5), ("spec_tags_top_1000_val", 3)):
        arrays = {
            "id": 10 + np.arange(count, dtype=np.int32)[:, None],
            "data": generator.random((count, 96, 96), dtype=np.float32),
            "label": np.eye(3, dtype=np.int16)[np.arange(count) % 3],
        }
        if name == "spec_tags_top_1000":
            arrays |= changes
        with h5py.File(folder / f"{name}.hdf5", "w") as file:
            for key, values in arrays.items():
                file.create_group("dataset") if "dataset" not in file else None
                file["dataset"][key] = values
    named = {str(number): token for number, token in enumerate(TOKENS)}
    (folder / "id2token_top_1000.json").write_text(json.dumps(named))
    if scaler:
        low = np.linspace(-14, -10, 96, dtype=np.float32)
        np.savez(folder / "minmax_scaler.npz", data_min_=low, data_max_=low + 18)
    return folder


def patches(file: Path) -> np.ndarray:
    with h5py.File(file) as opened:
        return opened["dataset/data"][:]


def test_patches_come_back_unscaled_with_their_tags(tmp_path: Path) -> None:
    assert published.is_published(write(tmp_path))
    read = published.read(tmp_path, CONFIG, tmp_path / "cache")
    assert [row.tags for row in read.train.rows] == [(TOKENS[k % 3],) for k in range(5)]
    assert [row.group for row in read.validation.rows] == ["10", "11", "12"]
    assert read.bands is not None
    low, high = read.bands
    scaled = (read.train.features.clip(2).astype(np.float32) - low) / (high - low)
    expected = patches(tmp_path / "spec_tags_top_1000.hdf5")[2]
    np.testing.assert_allclose(scaled, expected, atol=4e-4)  # half precision of -14 to 8


def test_without_a_scaler_the_patches_stay_as_they_are(tmp_path: Path) -> None:
    read = published.read(write(tmp_path, scaler=False), CONFIG, tmp_path / "cache")
    assert read.bands is None
    expected = patches(tmp_path / "spec_tags_top_1000.hdf5")
    np.testing.assert_allclose(read.train.features.frames, expected.reshape(-1, 96), atol=1e-3)


def test_the_copy_is_made_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    published.read(write(tmp_path), CONFIG, cache)
    copy = cache / "spec_tags_top_1000.npy"
    written = copy.stat().st_mtime_ns
    published.read(tmp_path, CONFIG, cache)
    assert copy.stat().st_mtime_ns == written
    write(tmp_path, data=np.zeros((5, 96, 96), np.float32))
    read = published.read(tmp_path, CONFIG, cache)
    np.testing.assert_allclose(read.train.features.clip(0)[0], np.linspace(-14, -10, 96), atol=0.01)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"label": np.zeros((5, 4), np.int16)}, r"label: expected \(5, 3\), got \(5, 4\)"),
        ({"data": np.zeros((5, 96, 64), np.float32)}, r"data: expected \(5, 96, 96\)"),
        ({"data": np.full((5, 96, 96), np.nan, np.float32)}, r"finite numbers, got others in .* 4"),
        ({"data": np.full((5, 96, 96), 1e6, np.float32)}, "data: expected finite numbers"),
        ({"label": np.full((5, 3), 2, np.int16)}, "label: expected 0 and 1 only, got 2"),
        ({"label": np.full((5, 3), np.nan)}, "label: expected 0 and 1 only, got nan"),
        ({"data": np.full((5, 96, 96), b"x")}, "group dataset: expected numbers in data"),
        ({"id": np.zeros((4, 1), np.int32)}, r"data: expected \(4, 96, 96\)"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, changes: dict[str, np.ndarray], says: str) -> None:
    write(tmp_path, **changes)
    with pytest.raises(CorpusError, match=says):
        published.read(tmp_path, CONFIG, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.json"))  # no copy that would be trusted


def test_corrupt_and_missing_files(tmp_path: Path) -> None:
    write(tmp_path)
    file = tmp_path / "spec_tags_top_1000.hdf5"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(CorpusError, match="corrupt, or no HDF5 file"):
        published.read(tmp_path, CONFIG, tmp_path / "cache")
    write(tmp_path)
    (tmp_path / "spec_tags_top_1000_val.hdf5").unlink()
    with pytest.raises(CorpusError, match="expected spec_tags_top_1000_val"):
        published.read(tmp_path, CONFIG, tmp_path / "cache")
    (tmp_path / "id2token_top_1000.json").write_text('{"1": "dog"}')
    with pytest.raises(CorpusError, match="expected tags numbered from 0"):
        published.read(tmp_path, CONFIG, tmp_path / "cache")
    write(tmp_path)
    (tmp_path / "spec_tags_top_1000.hdf5").rename(tmp_path / "spec_tags_top_1000_val.hdf5")
    with pytest.raises(CorpusError, match=r"expected spec_tags_top_1000 \("):
        load_corpus(tmp_path, preset("coala"), recipe_for("coala"), tmp_path / "cache", None, 0)


def test_damaged_anywhere(tmp_path: Path) -> None:
    """What h5py says of a damaged file depends on where the damage is; we say one thing."""
    file = write(tmp_path) / "spec_tags_top_1000.hdf5"
    whole, generator = file.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        place = int(generator.integers(0, 4_000)) % len(data)  # where its structure lies
        data[place : place + 4] = generator.bytes(4)
        file.write_bytes(data)
        try:
            published.read(tmp_path, CONFIG, tmp_path / "cache")
        except CorpusError:
            refused += 1
    assert refused > 10


def test_what_the_published_features_are_not_for(tmp_path: Path) -> None:
    write(tmp_path)
    starter = preset("starter")
    with pytest.raises(ConfigError, match="those of the paper's presets"):
        published.read(tmp_path, starter.features, tmp_path / "cache")
    with pytest.raises(ConfigError, match="--without-fold: the published features have no folds"):
        load_corpus(
            tmp_path,
            preset("coala"),
            recipe_for("coala"),
            tmp_path / "cache",
            None,
            0,
            without_fold="1",
        )
