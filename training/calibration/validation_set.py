"""The clips that scores are calibrated on: their cosines with the vocabulary, and their tags.

Letters: n = clips, V = tags of the vocabulary, D = size of an embedding.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.model.checkpoint import Checkpoint
from earmark.model.core.arrays import Array, Floats
from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.text.normalize import clean_tags
from earmark.training.corpora.split import clips_digest, held_out_clips
from earmark.training.data.dataset import TrainingSet
from earmark.training.errors import CorpusError
from earmark.training.features.encode_clips import load_codes

log = logging.getLogger(__name__)

MAX_CLIPS = 2_000  # more are thinned out evenly
SOURCE_POWER = 0.5  # a source of k clips weighs as much as k ** 0.5 sources of one clip


@dataclass(frozen=True)
class ValidationSet:
    """Scores and tags of clips that did not train the model.

    `cosines` [n, V]; `has_tag` [n, V]: whether a clip has the tag; `sources` [n]: a number for each
    source; `training_counts` [V]: training clips that have the tag; `tag_similarity` [V, V]:
    cosines between tags, where co-occurrence is to be fitted; `background`: mean [V] and deviation
    [V] of the tags' cosines with sounds at large, where the model states them; `vectors` [n, D]: of
    the clips, where they are to be searched.
    """

    cosines: Floats
    has_tag: npt.NDArray[np.bool_]
    sources: npt.NDArray[np.int64]
    training_counts: npt.NDArray[np.int64]
    tag_similarity: Floats | None = None
    background: tuple[Floats, Floats] | None = None
    vectors: Array | None = None

    @property
    def class_scores(self) -> Floats:
        """What exclusive classes are told apart by [n, V]: standard scores where the model has a
        background (`model.zero_shot`), else the cosines."""
        if self.background is None:
            return self.cosines
        mean, deviation = self.background
        return np.asarray((self.cosines - mean) / deviation, dtype=np.float64)

    @property
    def weights(self) -> Floats:
        """The weight of each clip [n]; they sum to n. Takes of one source are near-identical."""
        _, source, sizes = np.unique(self.sources, return_inverse=True, return_counts=True)
        weights = sizes[source].astype(np.float64) ** (SOURCE_POWER - 1)
        return np.asarray(weights * (len(weights) / weights.sum()), dtype=np.float64)

    @property
    def usable(self) -> bool:
        """Whether some clip has a tag, and some clip lacks one."""
        return bool(self.has_tag.any()) and not bool(self.has_tag.all())


def run_validation_set(
    checkpoint: Checkpoint,
    validation: TrainingSet,
    tag_sets: Sequence[Sequence[str]],
    training_counts: npt.NDArray[np.int64],
) -> ValidationSet:
    """The validation clips of a training run; `tag_sets`: of all of its clips."""
    embedder = DualEmbedder(checkpoint, str(next(checkpoint.model.parameters()).device))
    indices = validation.indices[:: -(-len(validation) // MAX_CLIPS)]
    audio = validation.vectors(embedder, indices)
    return ValidationSet(
        vocabulary_cosines(embedder, audio),
        vocabulary_labels([tag_sets[index] for index in indices.tolist()], checkpoint.vocabulary),
        validation.groups[indices],
        training_counts,
        _tag_similarity(embedder),
        _background(embedder),
        audio,
    )


def corpus_validation_set(
    embedder: Embedder, rows: Sequence[ManifestRow], cache: Path | None
) -> ValidationSet:
    """The clips of a corpus that did not train the model.

    `cache`: the feature cache's folder; a temporary one when None. Raises CorpusError.
    """
    embedder.require_audio()
    held_out, _ = held_out_clips(embedder.card, rows)
    if not held_out:
        raise CorpusError("calibration: expected clips that validate, got none")
    others = other_groups(rows, held_out)
    if clips_digest(others) != embedder.card.get("corpus"):
        log.warning("the clips that do not validate are not those that trained the model")
    heard, audio = hear_clips(embedder, held_out, cache)
    return validation_set_of(embedder, heard, audio, vocabulary_counts(embedder, others))


def hear_clips(
    embedder: Embedder, clips: Sequence[ManifestRow], cache: Path | None
) -> tuple[list[ManifestRow], Array]:
    """At most 2,000 of the clips that can be read, and their unit vectors [n, D].

    Raises CorpusError where no clip can.
    """
    clips = clips[:: -(-len(clips) // MAX_CLIPS)]
    heard = load_codes(embedder, [row.path for row in clips], cache)
    indices = np.flatnonzero(heard.readable).tolist()
    if not indices:
        raise CorpusError(f"calibration: expected clips with sound, got none in {len(clips)}")
    return [clips[index] for index in indices], embedder.project(heard.codes[indices])


def validation_set_of(
    embedder: Embedder,
    clips: Sequence[ManifestRow],
    audio: Array,
    training_counts: npt.NDArray[np.int64],
) -> ValidationSet:
    """Of clips and their unit vectors [n, D]."""
    return ValidationSet(
        vocabulary_cosines(embedder, audio),
        vocabulary_labels(
            [clean_tags(clip.tags, embedder.words) for clip in clips], embedder.vocabulary
        ),
        source_numbers(clips),
        training_counts,
        _tag_similarity(embedder),
        _background(embedder),
        audio,
    )


def other_groups(rows: Sequence[ManifestRow], held_out: Sequence[ManifestRow]) -> list[ManifestRow]:
    """The rows whose group has no held-out clip."""
    groups = {row.group for row in held_out}
    return [row for row in rows if row.group not in groups]


def vocabulary_cosines(embedder: Embedder, audio: Array) -> Floats:
    """Cosines [n, V] of clip embeddings [n, D] and the vocabulary's tags."""
    return (audio @ embedder.vocabulary_vectors.T).astype(np.float64)


def vocabulary_labels(
    tag_sets: Sequence[Sequence[str]], vocabulary: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """Whether each clip has each tag of the vocabulary, [n, V]."""
    rows = [[tag in tags for tag in vocabulary] for tags in map(set, tag_sets)]
    return np.array(rows, dtype=np.bool_).reshape(len(tag_sets), len(vocabulary))


def vocabulary_counts(embedder: Embedder, rows: Iterable[ManifestRow]) -> npt.NDArray[np.int64]:
    """How many of the clips have each tag of the vocabulary, [V]."""
    counts = Counter(tag for row in rows for tag in set(clean_tags(row.tags, embedder.words)))
    return np.array([counts[tag] for tag in embedder.vocabulary], dtype=np.int64)


def source_numbers(clips: Sequence[ManifestRow]) -> npt.NDArray[np.int64]:
    """A number for each clip's group, [n]."""
    return np.unique([clip.group for clip in clips], return_inverse=True)[1]


def _background(embedder: Embedder) -> tuple[Floats, Floats] | None:
    if embedder.vocabulary_moments is None:
        return None
    mean, deviation = embedder.vocabulary_moments
    return mean.astype(np.float64), deviation.astype(np.float64)


def _tag_similarity(embedder: Embedder) -> Floats:
    tags = embedder.vocabulary_vectors.astype(np.float64)
    return np.asarray(tags @ tags.T, dtype=np.float64)
