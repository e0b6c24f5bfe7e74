"""Task `retrieval`: find sounds by tag and tags by sound, on clips the model did not train on.

Protocol: the clips of the split "test"; where there are none, the groups that validated the model,
or where the corpus has none of them, those of `split_clips`. Tag → audio: one query for each
tag of at least MIN_CLIPS validation clips, relevant are the clips that carry it. Audio → tag:
one query a clip, its own tags relevant among those query tags. Set → audio: a clip's whole tag
set as the query, relevant are the clips with the same set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.audio.log_mel import windows
from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow
from earmark.model.embedder import WINDOW_BATCH, Embedder
from earmark.model.text.normalize import clean_tags
from earmark.training.corpora.manifest import TEST, split_clips
from earmark.training.errors import CorpusError
from earmark.training.evaluation.tag_groups import by_group
from earmark.training.features.cache import FeatureSet, prepare
from earmark.training.metrics import ranking

MIN_CLIPS = 5


def embed_features(embedder: Embedder, features: FeatureSet, numbers: Sequence[int]) -> Array:
    """Vectors [n, D] of clips whose frames are at hand."""
    return embedder.project(clip_codes(embedder, features, numbers))


def clip_codes(embedder: Embedder, features: FeatureSet, numbers: Sequence[int]) -> Array:
    """Mean codes z_a [n, V] of clips whose frames are at hand, windows of many in a batch."""
    config = embedder.config.features
    parts = [
        np.concatenate(
            [part for part, _ in windows([features.clip(number).astype(np.float32)], config)]
        )
        for number in numbers
    ]
    counts = np.array([len(part) for part in parts])
    stacked = np.concatenate(parts).astype(np.float32)
    codes = np.concatenate(
        [
            embedder.encode(stacked[start : start + WINDOW_BATCH])
            for start in range(0, len(stacked), WINDOW_BATCH)
        ]
    )
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    mean: Array = (np.add.reduceat(codes, first, axis=0) / counts[:, None]).astype(np.float32)
    return mean


def query_tags(tag_sets: Sequence[Sequence[str]], min_clips: int = MIN_CLIPS) -> list[str]:
    """Tags carried by at least `min_clips` clips but not by all, in alphabetical order."""
    counts = Counter(tag for tags in tag_sets for tag in set(tags))
    return sorted(tag for tag, count in counts.items() if min_clips <= count < len(tag_sets))


def known_queries(embedder: Embedder, tag_sets: Sequence[Sequence[str]]) -> list[str]:
    """The query tags that the model understands: those that are asked."""
    certain = embedder.words.certain_vector  # not what a misspelt word might mean
    return [tag for tag in query_tags(tag_sets) if certain(tag) is not None]


def both_ways(
    embedder: Embedder, audio: Array, tag_sets: Sequence[Sequence[str]]
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """(cosines, whether a clip carries the tag), both [n, query tags]; `audio` is [n, D].

    Raises CorpusError when no tag has enough clips to be a query.
    """
    tags = known_queries(embedder, tag_sets)
    if not tags:
        raise CorpusError(f"retrieval: expected a tag with {MIN_CLIPS} clips or more, got none")
    carried = np.array([[tag in own for tag in tags] for own in map(set, tag_sets)])
    return audio @ embedder.embed_tags([[tag] for tag in tags]).T, carried


def both_scores(similarity: Array, carried: npt.NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Metrics of either direction by name; both arguments as `both_ways` gives them."""
    tagged = carried.any(axis=1)
    return {
        "tag_to_audio": ranking.evaluate(similarity.T, carried.T),
        "audio_to_tag": ranking.evaluate(similarity[tagged], carried[tagged]),
    }


def score(
    embedder: Embedder, audio: Array, tag_sets: Sequence[Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Metrics of each direction by name; `audio` is [n, D], one row a tag set.

    Raises CorpusError when no tag has enough clips to be a query.
    """
    similarity, carried = both_ways(embedder, audio, tag_sets)
    tagged = carried.any(axis=1)
    results = both_scores(similarity, carried) | {
        "tag_to_audio_chance": ranking.chance(carried.T, repeats=10),
        "audio_to_tag_chance": ranking.chance(carried[tagged], repeats=10),
    }
    keys = [" ".join(sorted(own)) for own in tag_sets]
    sets = {
        key: list(own)
        for key, own in zip(keys, tag_sets, strict=True)
        if embedder.parse_tags(own).tags
    }
    numbers = {key: number for number, key in enumerate(sets)}
    own = np.array([numbers.get(key, -1) for key in keys])
    same = np.arange(len(sets))[:, None] == own[None, :]
    whole = embedder.embed_tags(list(sets.values()))
    results["set_to_audio"] = ranking.evaluate(whole @ audio.T, same)
    return results


def held_out_rows(
    card: Mapping[str, Any], rows: Sequence[ManifestRow]
) -> tuple[list[ManifestRow], str]:
    """Clips that did not train the model, but may have chosen its epoch, and how they are told."""
    known = set(card.get("validation_groups", ()))
    held_out = [row for row in rows if row.group in known]
    if held_out:
        return held_out, "the groups that validated the model"
    return split_clips(rows)[1], "the groups that a hash of their name chooses"


def evaluate(
    embedder: Embedder,
    rows: Sequence[ManifestRow],
    cache: Path | None = None,
    *,
    groups: bool = False,
) -> dict[str, Any]:
    """The task's result on the validation side of a corpus: protocol and metrics.

    `cache`: where features are kept; else they live in a temporary folder. `groups`: tag → audio
    by group of tags too (`training.evaluation.tag_groups`).
    Raises CorpusError.
    """
    embedder.require_audio()
    held_out, chosen = [row for row in rows if row.split == TEST], f"the split {TEST}"
    if not held_out:
        held_out, chosen = held_out_rows(embedder.card, rows)
    features = prepare([row.path for row in held_out], embedder.config.features, cache)
    tag_sets = [clean_tags(row.tags, embedder.words) for row in held_out]
    usable = [
        number
        for number, tags in enumerate(tag_sets)
        if features.ok[number] and embedder.parse_tags(tags).tags
    ]
    if not usable:
        raise CorpusError(
            f"retrieval: expected clips with sound and a known tag, got none in {len(held_out)}"
        )
    audio = embed_features(embedder, features, usable)
    tag_sets = [tag_sets[number] for number in usable]
    scores = score(embedder, audio, tag_sets)
    protocol = {
        "clips": len(usable),
        "held_out": chosen,
        "failed": features.failed,
        "groups": sorted({held_out[number].group for number in usable}),
        "queries": len(known_queries(embedder, tag_sets)),
        "min_clips_per_query": MIN_CLIPS,
        "similarity": "cosine",
        "ties": "by position",
    }
    figures = {
        f"{direction} {name}": {"mean": value, "std": 0.0, "runs": [value]}
        for direction, values in scores.items()
        for name, value in values.items()
    }
    result: dict[str, Any] = {"protocol": protocol, "metrics": figures}
    if groups:
        tags = known_queries(embedder, tag_sets)
        result["tag_groups"] = by_group(tags, *both_ways(embedder, audio, tag_sets))
    return result
