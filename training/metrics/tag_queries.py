"""Single tags as queries over clips, and clips as queries over those tags.

A tag is a query when at least MIN_QUERY_CLIPS clips have it and at least one clip does not.
Letters: n = clips, Q = query tags, D = size of an embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder
from earmark.training.errors import CorpusError
from earmark.training.metrics import ranking

MIN_QUERY_CLIPS = 5


def query_tags(tag_sets: Sequence[Sequence[str]], min_clips: int = MIN_QUERY_CLIPS) -> list[str]:
    """Tags of at least `min_clips` clips but not of all, in alphabetical order."""
    counts = Counter(tag for tags in tag_sets for tag in set(tags))
    return sorted(tag for tag, count in counts.items() if min_clips <= count < len(tag_sets))


def known_query_tags(embedder: Embedder, tag_sets: Sequence[Sequence[str]]) -> list[str]:
    """The query tags that have a word vector. Misspelt words are not corrected."""
    vector = embedder.words.certain_vector
    return [tag for tag in query_tags(tag_sets) if vector(tag) is not None]


def tag_cosines(
    embedder: Embedder, audio: Array, tag_sets: Sequence[Sequence[str]]
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """(cosines of clips and query tags, whether a clip has a tag), both [n, Q].

    `audio` [n, D]: embeddings of the clips, one row for each tag set.
    Raises CorpusError when no tag is a query.
    """
    tags = known_query_tags(embedder, tag_sets)
    if not tags:
        raise CorpusError(
            f"retrieval: expected a tag with {MIN_QUERY_CLIPS} clips or more, got none"
        )
    has_tag = np.array([[tag in clip_tags for tag in tags] for clip_tags in map(set, tag_sets)])
    return audio @ embedder.embed_tags([[tag] for tag in tags]).T, has_tag


def retrieval_metrics(
    cosines: Array, has_tag: npt.NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """Ranking metrics of both directions by name; both arguments [n, Q] as of `tag_cosines`.

    Clips without a query tag are no queries.
    """
    tagged = has_tag.any(axis=1)
    return {
        "tag_to_audio": ranking.evaluate(cosines.T, has_tag.T),
        "audio_to_tag": ranking.evaluate(cosines[tagged], has_tag[tagged]),
    }
