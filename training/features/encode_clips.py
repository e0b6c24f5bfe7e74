"""Codes of corpus clips, of any encoder.

Letters: n = clips, V = size of a code z_a, D = size of an embedding.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.model.audio.log_mel import LogMel, windows
from earmark.model.core.arrays import Array
from earmark.model.core.errors import AudioError
from earmark.model.core.manifest import ManifestRow
from earmark.model.core.progress import progress
from earmark.model.embedder import Embedder
from earmark.model.encoders.base import WINDOW_BATCH
from earmark.training.errors import CorpusError
from earmark.training.features import shards
from earmark.training.features.cache import MAX_CLIP_SECONDS, FeatureSet, load_features

CLIPS_IN_MEMORY = 256  # whose windows are held at once


def clip_vectors(embedder: Embedder, features: FeatureSet, indices: Sequence[int]) -> Array:
    """Unit embeddings [n, D] of the clips at these indices."""
    return embedder.project(clip_codes(embedder, features, indices))


def clip_codes(embedder: Embedder, features: FeatureSet, indices: Sequence[int]) -> Array:
    """Codes z_a [n, V] of the clips at these indices: means over each clip's windows.

    Windows of several clips share a batch, so short clips are encoded as fast as long ones.
    """
    assert isinstance(embedder.front_end, LogMel), "the features are its"
    config = embedder.front_end.config
    clips = [
        np.concatenate(
            [batch for batch, _ in windows([features.clip(index).astype(np.float32)], config)]
        )
        for index in indices
    ]
    counts = np.array([len(clip) for clip in clips])
    stacked = np.concatenate(clips).astype(np.float32)
    codes = np.concatenate(
        [
            embedder.encode(stacked[start : start + WINDOW_BATCH])
            for start in range(0, len(stacked), WINDOW_BATCH)
        ]
    )
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    means: Array = (np.add.reduceat(codes, first, axis=0) / counts[:, None]).astype(np.float32)
    return means


@dataclass(frozen=True)
class ClipCodes:
    """Codes z_a [n, V] of clips, means over each clip's windows; zeros for those that cannot be
    read, whose paths `failed` maps to the reason."""

    codes: Array
    readable: npt.NDArray[np.bool_]
    failed: dict[str, str]


def load_codes(embedder: Embedder, paths: Sequence[Path], cache: Path | None) -> ClipCodes:
    """The codes of clips, of any encoder.

    `cache`: a temporary folder when None; of log-mel features where the encoder takes these, else
    of codes. A training run's cache is reused only where the paths are exactly its training or its
    validation clips. Raises ConfigError if the model cannot embed sounds, CorpusError for a missing
    file.
    """
    embedder.require_audio()
    if not isinstance(embedder.front_end, LogMel):
        return _load_heard(embedder, paths, cache)
    features = load_features(paths, embedder.front_end.config, cache)
    codes = np.zeros((len(paths), embedder.code_dim), dtype=np.float32)
    indices = np.flatnonzero(features.readable).tolist()
    with progress("encoding", len(indices)) as bar:
        for start in range(0, len(indices), CLIPS_IN_MEMORY):
            block = indices[start : start + CLIPS_IN_MEMORY]
            codes[block] = clip_codes(embedder, features, block)
            bar.step(len(block))
    return ClipCodes(codes, features.readable, features.failed)


def corpus_codes(
    embedder: Embedder, rows: Sequence[ManifestRow], cache: Path | None
) -> tuple[Array, list[int]]:
    """(codes z_a [n, V] of the readable clips, their indices [n] among the rows).

    Raises as `load_codes`, and CorpusError when no clip is readable.
    """
    found = load_codes(embedder, [row.path for row in rows], cache)
    indices = np.flatnonzero(found.readable).tolist()
    if not indices:
        raise CorpusError(f"corpus: expected clips with sound, got none in {len(rows)}")
    return found.codes[indices], indices


def _load_heard(embedder: Embedder, paths: Sequence[Path], cache: Path | None) -> ClipCodes:
    """As `load_codes`, from sounds that are decoded and encoded one by one."""

    def write(files: Sequence[Path], shard: Path) -> None:
        codes = np.zeros((len(files), embedder.code_dim), dtype=np.float32)
        failed: dict[str, str] = {}
        for number, file in enumerate(files):
            try:
                codes[number] = embedder.embed_audio(file, file.name, MAX_CLIP_SECONDS).code
            except AudioError as error:
                failed[str(file)] = str(error)
        shards.save(shard, {"codes": codes, "failed": np.array(json.dumps(failed))})

    codes, failed = [np.zeros((0, embedder.code_dim), dtype=np.float32)], {}
    with ExitStack() as stack:
        if cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = shards.make_folder(cache / shards.cache_key(paths, embedder.fingerprint))
        for shard in shards.fill("encoding", folder, paths, write, workers=1):
            with np.load(shard, allow_pickle=False) as data:
                codes.append(data["codes"])
                failed.update(json.loads(str(data["failed"])))
    readable = np.array([str(path) not in failed for path in paths], dtype=np.bool_)
    return ClipCodes(np.concatenate(codes), readable, failed)
