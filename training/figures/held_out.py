"""The held-out clips that figures and hard cases are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import Embedder
from earmark.model.text.normalize import clean_tags
from earmark.training.calibration.validation_set import (
    ValidationSet,
    other_groups,
    source_numbers,
    vocabulary_cosines,
    vocabulary_counts,
    vocabulary_labels,
)
from earmark.training.corpora.split import held_out_clips
from earmark.training.features.encode_clips import corpus_codes


@dataclass(frozen=True)
class HeldOutClips:
    """n readable clips that did not train a model.

    `rows` and their clean `tag_sets`, both of length n; `audio` [n, D]: their unit embeddings;
    `scores`: their cosines with the vocabulary.
    """

    rows: list[ManifestRow]
    tag_sets: list[list[str]]
    audio: Array
    scores: ValidationSet


def embed_held_out(
    embedder: Embedder, rows: Sequence[ManifestRow], cache: Path | None
) -> HeldOutClips:
    """Embed the clips of a corpus that did not train the model. Raises CorpusError.

    `cache`: the feature cache's folder; a temporary one when None.
    """
    embed_held_out, _ = held_out_clips(embedder.card, rows)
    codes, indices = corpus_codes(embedder, embed_held_out, cache)
    audio = embedder.project(codes)
    clips = [embed_held_out[index] for index in indices]
    tag_sets = [clean_tags(clip.tags, embedder.words) for clip in clips]
    scores = ValidationSet(
        vocabulary_cosines(embedder, audio),
        vocabulary_labels(tag_sets, embedder.vocabulary),
        source_numbers(clips),
        vocabulary_counts(embedder, other_groups(rows, embed_held_out)),
    )
    return HeldOutClips(clips, tag_sets, audio, scores)
