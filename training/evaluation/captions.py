"""Task `captions`: find sounds by sentences, and sentences by sounds.

Protocol: that of DCASE's language-based audio retrieval. Text → audio: each caption is a query for
its one sound among all sounds. Audio → text: each sound is a query for its captions among those of
all sounds. Each sound and each caption is embedded once, whole, and ranked by cosine. A caption of
which the model knows no word is a miss. Sounds that are missing or cannot be read take no part,
and neither do their captions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.errors import AudioError
from earmark.model.core.progress import progress
from earmark.model.embedder import Embedder
from earmark.training.corpora.captions import read_captions
from earmark.training.errors import CorpusError
from earmark.training.metrics import caption_retrieval
from earmark.training.metrics.caption_retrieval import Integers, ranks

BLOCK = 256  # captions, or queries, at a time: bounds memory
DECIMALS = 6  # of cosines: the same sound twice is a tie, however a product of matrices rounds


def evaluate(embedder: Embedder, table: Path, audio: Path) -> dict[str, Any]:
    """The task's result on a table of captions whose sounds lie in the folder `audio`: protocol and
    metrics. Raises CorpusError, ConfigError."""
    embedder.require_audio()
    found = read_captions(table, audio)
    sounds, failed = _embed_sounds(embedder, found.captions)
    if not sounds:
        raise CorpusError(f"{table}: none of {len(found.captions)} sounds could be read")
    texts = [text for path in sounds for text in found.captions[path]]
    sound_of = np.repeat(np.arange(len(sounds)), [len(found.captions[path]) for path in sounds])
    vectors, row_of = _embed_captions(embedder, texts)
    known = row_of >= 0
    metrics = score(np.stack(list(sounds.values())), vectors[row_of[known]], sound_of, known)
    protocol = {
        "shape": found.shape,
        "clips": len(sounds),
        "captions": len(texts),
        "missing": len(found.missing),
        "failed": failed,
        "unknown_captions": int((~known).sum()),
        "similarity": f"cosine, to {DECIMALS} decimals",
        "ties": "pessimistic",
        "recall": "queries with a right one among the first k",
        "mAP": "the sum of precisions at right ones, over min(k, right ones)",
    }
    return {
        "protocol": protocol,
        "metrics": {
            f"{direction} {name}": {"mean": value, "std": 0.0, "runs": [value]}
            for direction, values in metrics.items()
            for name, value in values.items()
        },
    }


def score(
    sounds: Array, captions: Array, sound_of: Integers, known: np.ndarray[Any, np.dtype[np.bool_]]
) -> dict[str, dict[str, float]]:
    """Metrics of both directions by name.

    `sounds` [n, D] and `captions` [C, D]: unit vectors, of the known captions alone; `sound_of`
    [all captions]: the sound of each; `known` [all captions]: whether it has a vector.
    """
    of_known = sound_of[known]
    right_sounds = [np.array([sound]) for sound in of_known]
    found = [*_all_ranks(captions, sounds, right_sounds)]
    found += [np.zeros(0, dtype=np.int64)] * int((~known).sum())
    counts = np.bincount(sound_of, minlength=len(sounds)).tolist()
    right_captions = [np.flatnonzero(of_known == sound) for sound in range(len(sounds))]
    return {
        "text_to_audio": caption_retrieval.evaluate(found, [1] * len(found)),
        "audio_to_text": caption_retrieval.evaluate(
            [*_all_ranks(sounds, captions, right_captions)], counts
        ),
    }


def _all_ranks(queries: Array, items: Array, right: Sequence[Integers]) -> Iterable[Integers]:
    """The ranks of each query's right items, by cosine."""
    for start in range(0, len(queries), BLOCK):
        cosines = np.round(queries[start : start + BLOCK] @ items.T, DECIMALS)
        for row, scores in enumerate(cosines, start=start):
            yield ranks(scores, right[row])


def _embed_sounds(
    embedder: Embedder, paths: Iterable[Path]
) -> tuple[dict[Path, Array], dict[str, str]]:
    """(unit vectors [D] of the sounds that can be read, reasons of the others by name)."""
    paths = list(paths)
    sounds: dict[Path, Array] = {}
    failed: dict[str, str] = {}
    with progress("embedding", len(paths)) as bar:
        for path in paths:
            try:
                sounds[path] = embedder.embed_audio(path, path.name).vector
            except AudioError as error:
                failed[path.name] = str(error)
            bar.step()
    return sounds, failed


def _embed_captions(embedder: Embedder, texts: Sequence[str]) -> tuple[Array, Integers]:
    """(unit vectors of the distinct captions that have a known word, the row of each text there;
    -1 for the others)."""
    pieces = {text: embedder.parse_tags(text).pieces for text in dict.fromkeys(texts)}
    known = [text for text in pieces if pieces[text]]
    vectors = np.zeros((len(known), embedder.dim), dtype=np.float32)
    for start in range(0, len(known), BLOCK):
        block = known[start : start + BLOCK]
        vectors[start : start + BLOCK] = embedder.embed_tags([pieces[text] for text in block])
    row_of = {text: row for row, text in enumerate(known)}
    return vectors, np.array([row_of.get(text, -1) for text in texts], dtype=np.int64)
