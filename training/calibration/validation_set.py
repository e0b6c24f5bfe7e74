"""What scores are calibrated on: the cosines of validation clips, and the tags they carry.

Letters: n = clips, V = tags of the vocabulary.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.model.checkpoint import Checkpoint
from earmark.model.core.arrays import Floats
from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import Embedder
from earmark.model.text.normalize import clean_tags
from earmark.training.corpora.manifest import clips_digest
from earmark.training.data.dataset import TrainingSet
from earmark.training.errors import CorpusError
from earmark.training.evaluation.retrieval import embed_features, held_out_rows
from earmark.training.features.cache import prepare

log = logging.getLogger(__name__)


MOST_CLIPS = 2_000  # that take part, evenly drawn
SOURCE_POWER = 0.5  # a source of k clips counts as much as k ** 0.5 sources of one clip


@dataclass(frozen=True)
class Evidence:
    """`cosines` [n, V]; `carried` [n, V], whether a clip carries the tag; `sources` [n], a number
    for each; `counts` [V], the clips that carry the tag among those that do not validate; `alike`
    [V, V], the cosines of tags with each other, where known tags are to help.
    """

    cosines: Floats
    carried: npt.NDArray[np.bool_]
    sources: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    alike: Floats | None = None

    @property
    def weights(self) -> Floats:
        """Of each clip [n], their sum n: takes of one source are near-identical."""
        _, own, sizes = np.unique(self.sources, return_inverse=True, return_counts=True)
        weights = sizes[own].astype(np.float64) ** (SOURCE_POWER - 1)
        return np.asarray(weights * (len(weights) / weights.sum()), dtype=np.float64)

    @property
    def usable(self) -> bool:
        """Whether there is a tag that is carried, and one that is not."""
        return bool(self.carried.any()) and not bool(self.carried.all())


def _carried(tag_sets: Sequence[Sequence[str]], vocabulary: Sequence[str]) -> npt.NDArray[np.bool_]:
    own = [set(tags) for tags in tag_sets]
    rows = [[tag in tags for tag in vocabulary] for tags in own]
    return np.array(rows, dtype=np.bool_).reshape(len(own), len(vocabulary))


def of_training(
    saved: Checkpoint,
    validation: TrainingSet,
    tag_sets: Sequence[Sequence[str]],
    counts: npt.NDArray[np.int64],
) -> Evidence:
    """Of a run's validation clips; `tag_sets` are those of all clips that were given to it."""
    embedder = Embedder(saved, str(next(saved.model.parameters()).device))
    numbers = validation.numbers[:: -(-len(validation) // MOST_CLIPS)]
    audio = embed_features(embedder, validation.features, numbers.tolist())
    cosines = (audio @ embedder.vocabulary_vectors.T).astype(np.float64)
    carried = _carried([tag_sets[number] for number in numbers.tolist()], saved.vocabulary)
    return Evidence(cosines, carried, validation.groups[numbers], counts, _alike(embedder))


def of_rows(embedder: Embedder, rows: Sequence[ManifestRow], cache: Path | None) -> Evidence:
    """Of the clips of a corpus that did not train the model. Raises CorpusError.

    `cache`: where features are kept; else they live in a temporary folder.
    """
    embedder.require_audio()
    kept, _ = held_out_rows(embedder.card, rows)
    if not kept:
        raise CorpusError("calibration: expected clips that validate, got none")
    groups = {row.group for row in kept}
    others = [row for row in rows if row.group not in groups]
    kept = kept[:: -(-len(kept) // MOST_CLIPS)]
    if clips_digest(others) != embedder.card.get("corpus"):
        log.warning("the clips that do not validate are not those that trained the model")
    features = prepare([row.path for row in kept], embedder.config.features, cache)
    numbers = np.flatnonzero(features.ok).tolist()
    if not numbers:
        raise CorpusError(f"calibration: expected clips with sound, got none in {len(kept)}")
    audio = embed_features(embedder, features, numbers)
    seen = Counter(tag for row in others for tag in set(clean_tags(row.tags, embedder.words)))
    sources = np.unique([row.group for row in kept], return_inverse=True)[1]
    return Evidence(
        (audio @ embedder.vocabulary_vectors.T).astype(np.float64),
        _carried(
            [clean_tags(kept[number].tags, embedder.words) for number in numbers],
            embedder.vocabulary,
        ),
        sources[numbers],
        np.array([seen[tag] for tag in embedder.vocabulary], dtype=np.int64),
        _alike(embedder),
    )


def _alike(embedder: Embedder) -> Floats:
    tags = embedder.vocabulary_vectors.astype(np.float64)
    return np.asarray(tags @ tags.T, dtype=np.float64)
