"""Embeddings of corpus clips from cached features.

Letters: n = clips, V = size of a code z_a, D = size of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earmark.model.audio.log_mel import windows
from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow
from earmark.model.core.progress import progress
from earmark.model.embedder import WINDOW_BATCH, Embedder
from earmark.training.errors import CorpusError
from earmark.training.features.cache import FeatureSet, load_features

CLIPS_IN_MEMORY = 256  # whose windows are held at once


def clip_vectors(embedder: Embedder, features: FeatureSet, indices: Sequence[int]) -> Array:
    """Unit embeddings [n, D] of the clips at these indices."""
    return embedder.project(clip_codes(embedder, features, indices))


def clip_codes(embedder: Embedder, features: FeatureSet, indices: Sequence[int]) -> Array:
    """Codes z_a [n, V] of the clips at these indices: means over each clip's windows.

    Windows of several clips share a batch, so short clips are encoded as fast as long ones.
    """
    config = embedder.config.features
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


def corpus_codes(
    embedder: Embedder, rows: Sequence[ManifestRow], cache: Path | None
) -> tuple[Array, list[int]]:
    """(codes z_a [n, V] of the readable clips, their indices [n] among the rows).

    `cache`: the feature cache's folder; a temporary one when None. A training run's cache is
    reused only where the rows are exactly its training or its validation clips. Raises
    CorpusError when no clip is readable.
    """
    embedder.require_audio()
    features = load_features([row.path for row in rows], embedder.config.features, cache)
    indices = np.flatnonzero(features.readable).tolist()
    if not indices:
        raise CorpusError(f"corpus: expected clips with sound, got none in {len(rows)}")
    codes = []
    with progress("encoding", len(indices)) as bar:
        for start in range(0, len(indices), CLIPS_IN_MEMORY):
            block = indices[start : start + CLIPS_IN_MEMORY]
            codes.append(clip_codes(embedder, features, block))
            bar.step(len(block))
    return np.concatenate(codes), indices
