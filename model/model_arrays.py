"""What a model's file holds beside weights: words and background ↔ arrays by name.

`words.text` is UTF-8, one word a line; `words.vectors`, and for FastText `words.subwords` with
`words.subword_lengths`, are there unless the configuration names a sentence encoder. Files may have
them in half precision; what is read is float32. `background.mean` and `background.covariance` are
there where they were measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.background import Background
from earmark.model.config import ModelConfig
from earmark.model.core.errors import CheckpointError
from earmark.model.text import sentence_vectors
from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.model.text.word_vectors import Subwords, WordVectors

Arrays = dict[str, npt.NDArray[Any]]


def word_arrays(words: WordVectors) -> Arrays:
    """Words as arrays."""
    text = "\n".join(words.words).encode()
    arrays: Arrays = {"words.text": np.frombuffer(text, np.uint8).copy()}
    if isinstance(words, SentenceVectors):
        return arrays
    arrays["words.vectors"] = words.vectors
    if words.subwords is not None:
        lengths = [words.subwords.min_n, words.subwords.max_n]
        arrays["words.subwords"] = words.subwords.vectors
        arrays["words.subword_lengths"] = np.array(lengths, dtype=np.int64)
    return arrays


def background_arrays(background: Background | None) -> Arrays:
    """A background as arrays; none for None."""
    if background is None:
        return {}
    return {"background.mean": background.mean, "background.covariance": background.covariance}


def read_words(
    file: Path, arrays: Mapping[str, npt.NDArray[Any]], config: ModelConfig, encoder: object
) -> WordVectors:
    """The words of a file, whose header says which sentence `encoder` it needs.

    Raises CheckpointError, WordsError.
    """
    try:
        text = arrays["words.text"].tobytes().decode()
        words = text.split("\n") if text else []
        if config.words != "stored":
            return _sentence_vectors(file, words, config, encoder)
        vectors = arrays["words.vectors"].astype(np.float32, copy=False)
        subwords = None
        if "words.subwords" in arrays:
            shortest, longest = arrays["words.subword_lengths"].tolist()
            subwords = Subwords(
                arrays["words.subwords"].astype(np.float32, copy=False), shortest, longest
            )
    except KeyError as error:
        raise CheckpointError(f"{file}: tensor {error} is missing") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{file}: words.text: expected UTF-8") from error
    return WordVectors(words, np.ascontiguousarray(vectors), subwords)


def read_background(
    file: Path, arrays: Mapping[str, npt.NDArray[Any]], dim: int
) -> Background | None:
    """The background, or None where a file has none. Raises CheckpointError."""
    names = ("background.mean", "background.covariance")
    found = [arrays[name].astype(np.float32, copy=False) for name in names if name in arrays]
    if not found:
        return None
    shapes = [list(part.shape) for part in found]
    if shapes != [[dim], [dim, dim]]:
        raise CheckpointError(
            f"{file}: background: expected the shapes [{dim}] and [{dim}, {dim}], got {shapes}"
        )
    return Background(*found)


def _sentence_vectors(
    file: Path, words: list[str], config: ModelConfig, encoder: object
) -> SentenceVectors:
    """The sentence encoder that a file names. Raises CheckpointError, WordsError."""
    expected = (sentence_vectors.NAME, sentence_vectors.WEIGHTS_SHA256)
    found = (config.words, encoder)
    if found != expected:
        raise CheckpointError(
            f"{file}: expected the sentence encoder {expected[0]} with the weights "
            f"{expected[1][:16]}, got {found[0]} with {str(found[1])[:16]}"
        )
    sentence_vectors.check_encoder()
    return SentenceVectors(words)
