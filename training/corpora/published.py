"""The authors' published features (METHOD §5): HDF5 files of scaled patches and tags.

A folder with `spec_tags_top_1000` and `spec_tags_top_1000_val` (ending in `.hdf5`, `.h5` or
nothing): group `dataset` with `id` [n, 1], `data` [n, 96, 96] (frames, mels; scaled to [0, 1])
and `label` [n, C] of 0 and 1; and `id2token_top_1000.json`, which names the columns.

Patches are copied once, unscaled, to a memory-mapped float16 file in the cache. With
`minmax_scaler.npz` beside them (`data_min_`, `data_max_`: the log energies that were scaled to 0
and 1) the trained model can embed sounds; without it the bands are those of the scaled patches, and
the model's configuration says that its scaler is unknown. Letters: n = patches, C = tags, F = mels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from earmark.model.config import FeatureConfig
from earmark.model.core.arrays import Array
from earmark.model.core.errors import ConfigError, EarmarkError
from earmark.model.core.manifest import ManifestRow
from earmark.model.core.progress import progress
from earmark.training.corpora.files import read_json
from earmark.training.errors import CorpusError
from earmark.training.features.cache import FeatureSet
from earmark.training.features.shards import make_folder

if TYPE_CHECKING:
    import h5py


NAMES = {"train": "spec_tags_top_1000", "validation": "spec_tags_top_1000_val"}
TOKENS = "id2token_top_1000.json"
SCALER = "minmax_scaler.npz"
COPY_PATCHES = 1_024  # at once


@dataclass(frozen=True)
class PublishedSide:
    """One HDF5 file: a row for each patch, with its Freesound id as the group."""

    rows: list[ManifestRow]
    features: FeatureSet


@dataclass(frozen=True)
class PublishedFeatures:
    """Both sides, and the scaler's band minima and maxima [F], if known."""

    train: PublishedSide
    validation: PublishedSide
    bands: tuple[Array, Array] | None


def _find_file(folder: Path, side: str) -> Path | None:
    names = (f"{NAMES[side]}{suffix}" for suffix in (".hdf5", ".h5", ""))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def is_published(data: Path) -> bool:
    """Whether a folder holds the authors' features, of at least one side."""
    return data.is_dir() and any(_find_file(data, side) is not None for side in NAMES)


def read(data: Path, config: FeatureConfig, cache: Path) -> PublishedFeatures:
    """Both sides of the published features. Raises CorpusError, ConfigError."""
    if config != FeatureConfig():
        raise ConfigError(
            "data: the published features are those of the paper's presets, not of this one's"
        )
    tokens = _read_tokens(data)
    bands = _read_bands(data, config)
    files = {side: _find_file(data, side) for side in NAMES}
    missing = [NAMES[side] for side, file in files.items() if file is None]
    if missing:
        raise CorpusError(f"{data}: expected {', '.join(missing)} (.hdf5, .h5 or no ending)")
    make_folder(cache)
    train, validation = (
        _read_side(file, tokens, bands, config, cache / f"{file.stem}.npy")
        for file in files.values()
        if file is not None
    )
    return PublishedFeatures(train, validation, bands)


def _read_tokens(data: Path) -> list[str]:
    tokens = read_json(data / TOKENS)
    if not isinstance(tokens, dict) or set(tokens) != {str(k) for k in range(len(tokens))}:
        raise CorpusError(f"{data / TOKENS}: expected tags numbered from 0")
    return [str(tokens[str(k)]) for k in range(len(tokens))]


def _read_bands(data: Path, config: FeatureConfig) -> tuple[Array, Array] | None:
    file = data / SCALER
    if not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as scaler:
            low, high = scaler["data_min_"], scaler["data_max_"]
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(f"{file}: expected data_min_ and data_max_ ({error})") from error
    if low.shape != (config.n_mels,) or high.shape != low.shape or not (high > low).all():
        raise CorpusError(f"{file}: expected {config.n_mels} minima under their maxima")
    return low.astype(np.float32), high.astype(np.float32)


@contextmanager
def _open_hdf5(file: Path) -> Iterator[h5py.Group]:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError("data: HDF5 features need h5py (earmark[research])") from error
    try:
        with h5py.File(file, "r") as opened:
            group = opened.get("dataset")
            for name in ("id", "data", "label"):
                values = group.get(name) if isinstance(group, h5py.Group) else None
                if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "biuf":
                    raise CorpusError(f"{file}: group dataset: expected numbers in {name}")
            yield group
    except EarmarkError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        # Which error h5py raises depends on where the file is damaged.
        raise CorpusError(f"{file}: corrupt, or no HDF5 file ({error})") from error


def _read_side(
    file: Path,
    tokens: list[str],
    bands: tuple[Array, Array] | None,
    config: FeatureConfig,
    copy: Path,
) -> PublishedSide:
    with _open_hdf5(file) as group:
        count = len(group["id"])
        expected = {
            "id": (count, 1),
            "data": (count, config.frames, config.n_mels),
            "label": (count, len(tokens)),
        }
        for name, shape in expected.items():
            if group[name].shape != shape:
                raise CorpusError(f"{file}: {name}: expected {shape}, got {group[name].shape}")
        if not count:
            raise CorpusError(f"{file}: expected patches, got none")
        ids = group["id"][:].ravel()
        labels = group["label"][:]
        if not np.isin(labels, (0, 1)).all():
            other = labels[~np.isin(labels, (0, 1))][0]
            raise CorpusError(f"{file}: label: expected 0 and 1 only, got {other}")
        _copy_patches(file, group["data"], bands, copy)
    rows = [
        ManifestRow(
            path=file,
            tags=tuple(tokens[column] for column in np.flatnonzero(label)),
            group=str(number),
        )
        for number, label in zip(ids, labels, strict=True)
    ]
    frames = np.load(copy, mmap_mode="r")
    offsets = config.frames * np.arange(count + 1, dtype=np.int64)
    return PublishedSide(rows, FeatureSet(frames, offsets, {}))


def _copy_patches(
    file: Path, data: h5py.Dataset, bands: tuple[Array, Array] | None, copy: Path
) -> None:
    """Copy the patches, unscaled if the bands are known, unless an earlier copy is valid."""
    status = file.stat()
    scaled_by = None if bands is None else [edge.tolist() for edge in bands]
    key = json.dumps([str(file.resolve()), status.st_size, status.st_mtime_ns, scaled_by])
    note = copy.with_suffix(".json")
    if copy.exists() and note.exists() and note.read_text(encoding="utf-8") == key:
        return
    note.unlink(missing_ok=True)
    low, high = bands or (np.float32(0), np.float32(1))
    count, size, mels = data.shape
    with progress(f"reading {file.name}", count, "patches") as bar:
        frames = np.lib.format.open_memmap(
            copy, mode="w+", dtype=np.float16, shape=(count * size, mels)
        )
        for start in range(0, count, COPY_PATCHES):
            block = data[start : start + COPY_PATCHES].astype(np.float32)
            unscaled = block * (high - low) + low
            if not (np.abs(unscaled) < np.finfo(np.float16).max).all():
                raise CorpusError(
                    f"{file}: data: expected finite numbers, got others in patches {start} to "
                    f"{start + len(block) - 1}"
                )
            frames[start * size : (start + len(block)) * size] = unscaled.reshape(-1, mels)
            bar.step(len(block))
        frames.flush()
    note.write_text(key, encoding="utf-8")
