"""Embeddings of corpus clips from cached features are those of the sounds themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earmark.model.core.manifest import read_manifest
from earmark.model.encoders.dual import DualEmbedder
from earmark.training.features.encode_clips import clip_vectors
from tests.model.tiny import checkpoint_of
from tests.training.tiny import features_of, tiny_model, tiny_rows, write_corpus


def test_cached_features_embed_as_files_do(tmp_path: Path) -> None:
    embedder = DualEmbedder(checkpoint_of(tiny_model()))
    path = write_corpus(tmp_path, 3, 3, embedder.front_end.sample_rate)
    rows = read_manifest(path)
    features = features_of(tiny_rows(tmp_path, 3, 3), embedder.config.features)
    vectors = clip_vectors(embedder, features, range(6))
    for row, vector in zip(rows, vectors, strict=True):
        assert embedder.embed_audio(row.path).vector @ vector > 0.999
    some = clip_vectors(embedder, features, [4, 1])
    np.testing.assert_allclose(some, vectors[[4, 1]], atol=1e-6)
