"""Task `us8k-tags`: the class of an UrbanSound8K clip from the Freesound tags of its source.

Protocol (METHOD §6): the input is φ_w of the source's known tags, the first ten in the vocabulary's
order, as the authors ran it; clips of sources without a known tag take no part; the 10 given folds.
Files: `UrbanSound8K.csv`, and `US8K_tag_ids.json` (source → vocabulary numbers) or `US8K_tags.json`
(source → tags); or a manifest with `tags`, `class` and `fold`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow, in_folder, read_manifest
from earmark.model.embedder import Embedder
from earmark.model.text.normalize import clean_tags
from earmark.training.corpora.files import read_json_object, read_table, read_tags
from earmark.training.corpora.urbansound8k import COLUMNS
from earmark.training.errors import CorpusError
from earmark.training.evaluation import downstream

TABLE = "UrbanSound8K.csv"
TOKENS = "id2token_top_1000.json"


def evaluate(embedder: Embedder, data: Path, *, repeats: int, seed: int) -> dict[str, Any]:
    """The task's result: protocol and metrics. Raises CorpusError."""
    if data.is_file() or in_folder(data) is not None:
        return _evaluate_manifest(embedder, read_manifest(data), repeats, seed)
    table = read_table(_find_file(data, TABLE), COLUMNS)
    rows, tags_of = clips_with_known_tags(embedder, data, table)
    sources = {row["fsID"]: None for row in rows}
    phi = embedder.encode_tags([tags_of[source] for source in sources])
    row_of = {source: number for number, source in enumerate(sources)}
    features = phi[[row_of[row["fsID"]] for row in rows]]
    result = downstream.evaluate(
        features,
        [row["class"] for row in rows],
        downstream.fold_splits([row["fold"] for row in rows]),
        repeats=repeats,
        seed=seed,
    )
    result["protocol"] |= {"clips_in_all": len(table), "input": "φ_w of the source's tags"}
    return result


def _evaluate_manifest(
    embedder: Embedder, rows: Sequence[ManifestRow], repeats: int, seed: int
) -> dict[str, Any]:
    phi, indices = tag_vectors(embedder, rows)
    clips = [rows[index] for index in indices]
    folds = downstream.fold_splits([row.fold for row in clips])
    labels = [row.label for row in clips]
    result = downstream.evaluate(phi, labels, folds, repeats=repeats, seed=seed)
    result["protocol"] |= {"clips_in_all": len(rows), "input": "φ_w of the clip's tags"}
    return result


def tag_vectors(
    embedder: Embedder, rows: Sequence[ManifestRow]
) -> tuple[Array, npt.NDArray[np.int64]]:
    """(φ_w [n, D] of the clips with a known tag, their indices [n]). Raises CorpusError."""
    order = {word: number for number, word in enumerate(embedder.words.words)}
    known_tags = [_known_tags(clean_tags(row.tags, embedder.words), order) for row in rows]
    indices = np.array([index for index, tags in enumerate(known_tags) if tags], dtype=np.int64)
    if not len(indices):
        raise CorpusError("us8k-tags: no clip has a tag that the model knows")
    tag_sets = list(dict.fromkeys(known_tags[index] for index in indices))
    row_of = {tags: row for row, tags in enumerate(tag_sets)}
    phi = embedder.encode_tags([list(tags) for tags in tag_sets])
    return phi[[row_of[known_tags[index]] for index in indices]], indices


def _known_tags(tags: Sequence[str], order: dict[str, int]) -> tuple[str, ...]:
    """The tags that are words of the model, in its order."""
    return tuple(sorted((tag for tag in tags if tag in order), key=order.__getitem__))


def clips_with_known_tags(
    embedder: Embedder, data: Path, table: Sequence[dict[str, str]]
) -> tuple[list[dict[str, str]], dict[str, list[str]]]:
    """(the table's rows whose source has a known tag, those sources' tags). Raises CorpusError."""
    tags_of = {
        source: tags
        for source, tags in _source_tags(embedder, data).items()
        if embedder.parse_tags(tags).tags
    }
    rows = [row for row in table if row["fsID"] in tags_of]
    if not rows:
        raise CorpusError(f"us8k-tags: no source of {data} has a tag that the model knows")
    return rows, tags_of


def _find_file(data: Path, name: str) -> Path:
    for file in (data / name, data / "metadata" / name):
        if file.is_file():
            return file
    raise CorpusError(f"us8k-tags: expected {name} in {data}")


def _source_tags(embedder: Embedder, data: Path) -> dict[str, list[str]]:
    """Each source's tags that the model knows, in the order of its words."""
    words = embedder.words.words
    tokens = data / TOKENS
    if tokens.is_file() and list(read_json_object(tokens).values()) == words:
        # With the authors' own vocabulary, their numbers are exactly what they fed in.
        file = _find_file(data, "US8K_tag_ids.json")
        try:
            ids = read_json_object(file)
            return {
                source: [words[number] for number in numbers] for source, numbers in ids.items()
            }
        except (IndexError, TypeError) as error:
            raise CorpusError(f"{file}: expected lists of the vocabulary's numbers") from error
    order = {word: number for number, word in enumerate(words)}
    raw = read_tags(_find_file(data, "US8K_tags.json"))
    cleaned = {source: clean_tags(tags, embedder.words) for source, tags in raw.items()}
    return {source: list(_known_tags(tags, order)) for source, tags in cleaned.items()}
