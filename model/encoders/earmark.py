"""Earmark's own models: log-mel windows and sets of tags into one space (paper §2).

What their networks compute is left to a runtime: torch (`dual`) or ONNX. Axes: n = windows,
T = frames, F = mels, S = steps, V = audio code, D = shared dimension, F_w = word dimension,
B = batch, N = tags.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.audio.log_mel import LogMel
from earmark.model.background import Background
from earmark.model.config import ModelConfig
from earmark.model.core.arrays import Array
from earmark.model.core.errors import ConfigError, WordsError
from earmark.model.embedder import ParsedTags, unit
from earmark.model.encoders.base import BaseEmbedder
from earmark.model.encoders.steps import encode_steps_of
from earmark.model.front_end import Windows
from earmark.model.text.normalize import clean_tags, tokens
from earmark.model.text.phrase import read_phrase
from earmark.model.text.sentence_vectors import LANGUAGES, SentenceVectors
from earmark.model.text.word_vectors import WordVectors

PROJECT_BATCH = 1_024  # codes in one pass of the projection: a sound of hours has many
MAX_WORD_LENGTH = 60  # letters; longer words are ignored

Mask = npt.NDArray[np.bool_]


class EarmarkEmbedder(BaseEmbedder):
    """A model of a configuration, but for its networks."""

    def __init__(
        self,
        config: ModelConfig,
        words: WordVectors,
        mel_filters: Array,
        fingerprint: str,
        vocabulary: list[str],
        card: dict[str, Any],
        background: Background | None,
    ) -> None:
        super().__init__(fingerprint, vocabulary, card, background)
        self.config, self.words = config, words
        self.log_mel = self.front_end = LogMel(config.features, mel_filters)

    # What a runtime computes

    @abstractmethod
    def encode_steps(self, windows: Array) -> Array:
        """Log-mel windows [n, T, F] → codes [n, S, V] of their steps of time."""

    @abstractmethod
    def _project(self, codes: Array) -> Array:
        """Codes [n, V] → φ_a [n, D], not scaled to length 1."""

    @abstractmethod
    def _encode_words(self, words: Array, mask: Mask) -> Array:
        """Padded word vectors [B, N, F_w], and which are words [B, N] → φ_w [B, D]."""

    # What it is

    @property
    def name(self) -> str:
        """Of the model's configuration."""
        return self.config.name

    @property
    def dim(self) -> int:
        """D, the size of every vector."""
        return self.config.dim

    @property
    def code_dim(self) -> int:
        """V, the size of a window's code."""
        return self.config.code_dim

    @property
    def max_tags(self) -> int:
        """How many tags of a set are read."""
        return self.config.tags.max_tags

    @property
    def languages(self) -> tuple[str, ...]:
        """Of the phrases that it reads (BCP 47); empty where it knows single words."""
        return LANGUAGES if isinstance(self.words, SentenceVectors) else ()

    @property
    def sentence_encoder(self) -> str:
        """What reads whole phrases; "" where it knows single words."""
        return self.config.words if isinstance(self.words, SentenceVectors) else ""

    # Sound

    def require_audio(self) -> None:
        """Raise ConfigError if the model cannot embed sounds."""
        if not self.config.hears:
            raise ConfigError(f"model {self.config.name}: embeds only tags, has no audio encoder")
        if not self.config.scaler_known:
            raise ConfigError(
                f"model {self.config.name}: cannot embed sounds, the scaler of its training "
                "patches is unknown"
            )

    @property
    def window_steps(self) -> int:
        """Steps in a window."""
        return self.config.window_steps

    @property
    def step_seconds(self) -> float:
        """Time between steps."""
        features = self.config.features
        return features.frames // self.window_steps * features.hop / features.sample_rate

    def encode_sound_steps(
        self, blocks: Iterable[Windows], on_seconds: Callable[[float], None] = lambda _: None
    ) -> npt.NDArray[np.float16]:
        """The codes [S, V] of a sound's steps (`model.encoders.steps`)."""
        return encode_steps_of(self.config, self.encode_steps, blocks, on_seconds)

    def project(self, codes: Array) -> Array:
        """Codes z_a [n, V] → unit vectors φ_a [n, D]."""
        vectors = np.empty((len(codes), self.dim), dtype=np.float32)
        for start in range(0, len(codes), PROJECT_BATCH):
            rows = slice(start, start + PROJECT_BATCH)
            vectors[rows] = unit(self._project(codes[rows]))
        return vectors

    # Words

    def parse_tags(self, text: str | Iterable[str]) -> ParsedTags:
        """A text or a list of words → the tags that the model uses.

        At most `max_tags`, but all words of a phrase where the model reads whole phrases.
        """
        if isinstance(self.words, SentenceVectors):
            phrase = read_phrase(text if isinstance(text, str) else " ".join(text))
            return ParsedTags(phrase.words, phrase.ignored, {}, phrase.text)
        tags: list[str] = []
        pieces = text.split() if isinstance(text, str) else list(text)
        ignored = [
            piece[:MAX_WORD_LENGTH].encode(errors="replace").decode()  # lone surrogates: "?"
            for piece in pieces
            if not tokens(piece)
        ]
        for tag in clean_tags(pieces, self.words):
            # Look up last: for an unknown word that is slow.
            is_taken = (
                len(tags) < self.max_tags
                and len(tag) <= MAX_WORD_LENGTH
                and self.words.vector(tag) is not None
            )
            (tags if is_taken else ignored).append(tag)
        guesses = {tag: self.words.guess(tag) for tag in tags}
        return ParsedTags(tags, ignored, {tag: guess for tag, guess in guesses.items() if guess})

    def embed_tags(self, tag_sets: Sequence[Sequence[str]]) -> Array:
        """Sets of tags → unit vectors [n, D]. Unknown tags are skipped (see `parse_tags`).

        Raises WordsError for a set without a known tag.
        """
        return unit(self.encode_tags(tag_sets))

    def encode_tags(self, tag_sets: Sequence[Sequence[str]]) -> Array:
        """Sets of tags → φ_w [n, D], not scaled to length 1. Raises WordsError."""
        if isinstance(self.words, SentenceVectors):  # one batch, then single ones from the cache
            self.words.vectors_of([tag for tags in tag_sets for tag in tags[: self.max_tags]])
        vectors = [self.word_vectors(tags) for tags in tag_sets]
        for tags, words_of_set in zip(tag_sets, vectors, strict=True):
            if not len(words_of_set):
                raise WordsError(f"tags: none of these words is understood: {' '.join(tags)!r}")
        if not vectors:
            return np.zeros((0, self.dim), dtype=np.float32)
        is_whole = self.config.tags.sum_padding
        length = self.max_tags if is_whole else max(map(len, vectors))
        return self._encode_words(*pad_words(vectors, length))

    def word_vectors(self, tags: Iterable[str]) -> Array:
        """Vectors [n, F_w] of the first `max_tags` known tags."""
        if isinstance(self.words, SentenceVectors):
            return self.words.vectors_of(list(tags)[: self.max_tags])
        found = (self.words.vector(tag) for tag in tags)
        vectors = [vector for vector in found if vector is not None]
        if not vectors:
            return np.zeros((0, self.words.dim), dtype=np.float32)
        return np.stack(vectors[: self.max_tags])


def pad_words(vectors: Sequence[Array], max_tags: int) -> tuple[Array, Mask]:
    """Sets of word vectors [n_i, F_w] → words [B, N, F_w] padded with zeros, mask [B, N]."""
    dim = vectors[0].shape[1]
    words = np.zeros((len(vectors), max_tags, dim), dtype=np.float32)
    mask = np.zeros((len(vectors), max_tags), dtype=np.bool_)
    for row, set_vectors in enumerate(vectors):
        words[row, : len(set_vectors)] = set_vectors
        mask[row, : len(set_vectors)] = True
    return words, mask
