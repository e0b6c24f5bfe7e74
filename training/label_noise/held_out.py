"""Clips as a model hears them: codes by way of the feature cache, and the clips held out from it.

Letters: n = clips, V = size of a code z_a, D = size of a vector, T = tags of the vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow
from earmark.model.core.progress import progress
from earmark.model.embedder import Embedder
from earmark.model.text.normalize import clean_tags
from earmark.training.calibration.validation_set import Evidence
from earmark.training.errors import CorpusError
from earmark.training.evaluation.retrieval import clip_codes, held_out_rows
from earmark.training.features.cache import prepare

BLOCK = 256  # clips whose windows are in memory at once


@dataclass(frozen=True)
class HeldOut:
    """Clips with sound that did not train a model: `rows` and their clean `tag_sets`, both of n,
    vectors `audio` [n, D], and what calibration makes of them.
    """

    rows: list[ManifestRow]
    tag_sets: list[list[str]]
    audio: Array
    evidence: Evidence


def codes_of(
    embedder: Embedder, rows: Sequence[ManifestRow], cache: Path | None
) -> tuple[Array, list[int]]:
    """Codes [n, V] of the rows that can be read, and the places [n] of those.

    `cache`: where features are kept; else they live in a temporary folder. Features of the
    model's own training run are found again where the rows are one side of it. Raises CorpusError.
    """
    embedder.require_audio()
    features = prepare([row.path for row in rows], embedder.config.features, cache)
    numbers = np.flatnonzero(features.ok).tolist()
    if not numbers:
        raise CorpusError(f"corpus: expected clips with sound, got none in {len(rows)}")
    codes = []
    with progress("hearing", len(numbers)) as shown:
        for start in range(0, len(numbers), BLOCK):
            block = numbers[start : start + BLOCK]
            codes.append(clip_codes(embedder, features, block))
            shown.step(len(block))
    return np.concatenate(codes), numbers


def held_out(embedder: Embedder, rows: Sequence[ManifestRow], cache: Path | None) -> HeldOut:
    """The clips of a corpus that did not train the model, heard. Raises CorpusError."""
    chosen, _ = held_out_rows(embedder.card, rows)
    codes, numbers = codes_of(embedder, chosen, cache)
    audio = embedder.project(codes)
    kept = [chosen[number] for number in numbers]
    tag_sets = [clean_tags(row.tags, embedder.words) for row in kept]
    groups = {row.group for row in chosen}
    others = (row for row in rows if row.group not in groups)
    seen = Counter(tag for row in others for tag in set(clean_tags(row.tags, embedder.words)))
    own = map(set, tag_sets)
    evidence = Evidence(
        (audio @ embedder.vocabulary_vectors.T).astype(np.float64),
        np.array([[tag in tags for tag in embedder.vocabulary] for tags in own], dtype=np.bool_),
        np.unique([row.group for row in kept], return_inverse=True)[1],
        np.array([seen[tag] for tag in embedder.vocabulary], dtype=np.int64),
    )
    return HeldOut(kept, tag_sets, audio, evidence)
