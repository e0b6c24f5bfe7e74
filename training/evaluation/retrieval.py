"""Task `retrieval`: find sounds by tag and tags by sound, on clips that did not train the model.

Protocol: the clips are those of the split "test"; without one, the groups that validated the model;
without those, the validation side of `split_clips`. Tag → audio: each tag of at least
MIN_QUERY_CLIPS clips is a query, and the clips with that tag are relevant. Audio → tag: each clip
is a query over those tags, and its own tags are relevant. Set → audio: each clip's whole tag set is
a query, and the clips with the same set are relevant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import Embedder
from earmark.model.text.normalize import clean_tags
from earmark.training.corpora.split import TEST, held_out_clips
from earmark.training.errors import CorpusError
from earmark.training.evaluation.tag_groups import precision_by_group
from earmark.training.features.encode_clips import load_codes
from earmark.training.metrics import ranking
from earmark.training.metrics.tag_queries import (
    MIN_QUERY_CLIPS,
    known_query_tags,
    retrieval_metrics,
    tag_cosines,
)


def score(
    embedder: Embedder, audio: Array, tag_sets: Sequence[Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Metrics of each direction, and of chance, by name.

    `audio` [n, D]: embeddings of the clips, one row for each tag set.
    Raises CorpusError when no tag is a query.
    """
    cosines, has_tag = tag_cosines(embedder, audio, tag_sets)
    tagged = has_tag.any(axis=1)
    results = retrieval_metrics(cosines, has_tag) | {
        "tag_to_audio_chance": ranking.chance(has_tag.T, repeats=10),
        "audio_to_tag_chance": ranking.chance(has_tag[tagged], repeats=10),
    }
    keys = [" ".join(sorted(tags)) for tags in tag_sets]
    queries = {
        key: list(tags)
        for key, tags in zip(keys, tag_sets, strict=True)
        if embedder.parse_tags(tags).tags
    }
    row_of = {key: row for row, key in enumerate(queries)}
    rows = np.array([row_of.get(key, -1) for key in keys])
    relevant = np.arange(len(queries))[:, None] == rows[None, :]
    vectors = embedder.embed_tags(list(queries.values()))
    results["set_to_audio"] = ranking.evaluate(vectors @ audio.T, relevant)
    return results


def evaluate(
    embedder: Embedder,
    rows: Sequence[ManifestRow],
    cache: Path | None = None,
    *,
    groups: bool = False,
) -> dict[str, Any]:
    """The task's result on the held-out clips of a corpus: protocol and metrics.

    `cache`: the feature cache's folder; a temporary one when None. `groups`: adds the precision of
    tag → audio by group of tags (`training.evaluation.tag_groups`). Raises CorpusError.
    """
    clips, clips_of = [row for row in rows if row.split == TEST], f"the split {TEST}"
    if not clips:
        clips, clips_of = held_out_clips(embedder.card, rows)
    heard = load_codes(embedder, [row.path for row in clips], cache)
    tag_sets = [clean_tags(row.tags, embedder.words) for row in clips]
    usable = [
        index
        for index, tags in enumerate(tag_sets)
        if heard.readable[index] and embedder.parse_tags(tags).tags
    ]
    if not usable:
        raise CorpusError(
            f"retrieval: expected clips with sound and a known tag, got none in {len(clips)}"
        )
    audio = embedder.project(heard.codes[usable])
    tag_sets = [tag_sets[index] for index in usable]
    scores = score(embedder, audio, tag_sets)
    protocol = {
        "clips": len(usable),
        "held_out": clips_of,
        "failed": heard.failed,
        "groups": sorted({clips[index].group for index in usable}),
        "queries": len(known_query_tags(embedder, tag_sets)),
        "min_clips_per_query": MIN_QUERY_CLIPS,
        "similarity": "cosine",
        "ties": "by position",
    }
    metrics = {
        f"{direction} {name}": {"mean": value, "std": 0.0, "runs": [value]}
        for direction, values in scores.items()
        for name, value in values.items()
    }
    result: dict[str, Any] = {"protocol": protocol, "metrics": metrics}
    if groups:
        tags = known_query_tags(embedder, tag_sets)
        result["tag_groups"] = precision_by_group(tags, *tag_cosines(embedder, audio, tag_sets))
    return result
