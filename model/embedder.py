"""Sounds and tags → unit vectors in one space.

Vectors are float32 of length 1, so that their inner product is the cosine. Times are in seconds
from the start of the sound. Nothing is random: the same sound always has the same vector, alone or
in a batch. Axes: n = items, W = windows of a sound, T = frames, F = mels, V = audio code,
D = shared dimension, F_w = word dimension, B = batch, N = tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earmark.model import checkpoint
from earmark.model.audio.decode import SoundReader, Source
from earmark.model.audio.file_metadata import FileMetadata
from earmark.model.audio.log_mel import LogMel, window_blocks
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.calibration import Calibration, summary
from earmark.model.core.arrays import Array
from earmark.model.core.errors import ConfigError, WordsError
from earmark.model.text.normalize import clean_tags, tokens
from earmark.model.text.phrase import read_phrase
from earmark.model.text.sentence_vectors import LANGUAGES, SentenceVectors

WINDOW_BATCH = 64  # windows in one pass of the encoder: bounds memory
PROJECT_BATCH = 1_024  # codes in one pass of the projection: a sound of hours has many
MAX_WORD_LENGTH = 60  # letters; longer words are ignored


@dataclass(frozen=True)
class AudioEmbedding:
    """A sound's unit vector [D], and those of its windows [W, D] with their starts [W] in seconds.

    `code`: z_a [V], averaged over the windows; downstream tasks build on it. `metadata`: what the
    file tells of itself, where it was asked.
    """

    vector: Array
    code: Array
    windows: Array
    starts: npt.NDArray[np.float64]
    info: SoundInfo
    metadata: FileMetadata = field(default_factory=FileMetadata)


@dataclass(frozen=True)
class ParsedTags:
    """A text as the model reads it.

    `tags`: those it uses; `ignored`: words that are unknown, or beyond what it reads;
    `guessed`: for tags that are misspelt or run together, the words that stand in for them;
    `phrase`: the text as a model of whole phrases reads it, else "".
    """

    tags: list[str]
    ignored: list[str]
    guessed: dict[str, str]
    phrase: str = ""

    @property
    def pieces(self) -> list[str]:
        """What is embedded as one set: the phrase, or the tags. (A phrase's words beside it made
        labels and sentences worse: "air" and "conditioner" are not "air conditioner".)"""
        return [self.phrase] if self.phrase else self.tags


def unit(vectors: Array) -> Array:
    """Vectors [..., D] scaled to length 1; a zero vector stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def select_device(name: str) -> torch.device:
    """A torch device by name. Raises ConfigError if it is absent; never falls back to the CPU."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: expected cpu, cuda or cuda:N, got {name!r}") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
        raise ConfigError(f"device: expected cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            available = f"only {count}" if count else "no"
            raise ConfigError(
                f"device: {name!r} is not available: {available} GPU can be used here"
            )
    return device


class Embedder:
    """A loaded model, ready to embed. Safe to share between threads."""

    def __init__(self, loaded: checkpoint.Checkpoint, device: str = "cpu") -> None:
        self.device = select_device(device)
        self.config = loaded.model.config
        self.fingerprint = loaded.fingerprint
        self.words = loaded.words
        self.vocabulary = loaded.vocabulary
        self.background = loaded.background
        self.card: dict[str, Any] = loaded.card
        self.calibration = Calibration.from_card(self.card, len(self.vocabulary))
        self.log_mel = LogMel(self.config.features, loaded.model.mel_filters.cpu().numpy())
        self._model = loaded.model.eval().to(self.device)
        self._model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Embedder:
        """From a model's file or folder. Raises CheckpointError, ConfigError."""
        loaded = checkpoint.load(path)
        if loaded.model.audio is not None:
            loaded.model.audio.fuse()
        return cls(loaded, device)

    @property
    def dim(self) -> int:
        """D, the size of every vector."""
        return self.config.dim

    @property
    def languages(self) -> tuple[str, ...]:
        """Of the phrases that it reads (BCP 47); empty where it knows single words."""
        return LANGUAGES if isinstance(self.words, SentenceVectors) else ()

    def calibration_summary(self) -> dict[str, Any] | None:
        """The calibration as the API shows it (`model.calibration.summary`)."""
        return summary(self.card, self.vocabulary)

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

    def embed_audio(
        self, source: Source, name: str = "file", max_seconds: float | None = None
    ) -> AudioEmbedding:
        """Embed a sound, from a file or its bytes. Raises AudioError, ConfigError.

        Reads in blocks: memory does not grow with the length of the sound, except for the
        vectors of its windows.
        """
        self.require_audio()
        reader = SoundReader(source, self.config.features.sample_rate, name, max_seconds)
        codes, first_frames = [], []
        for windows, first in self.windows(reader):
            codes.append(self.encode(windows))
            first_frames.append(first)
        return self.embed_codes(np.concatenate(codes), np.concatenate(first_frames), reader.info)

    def windows(self, reader: SoundReader) -> Iterator[tuple[Array, npt.NDArray[np.int64]]]:
        """A sound → blocks of (log-mel windows [n ≤ 64, T, F], first frames [n]).

        Raises AudioError.
        """
        yield from window_blocks(self.log_mel, reader.blocks(), WINDOW_BATCH)

    def encode(self, windows: Array) -> Array:
        """Log-mel windows [n, T, F] → codes z_a [n, V]."""
        with torch.inference_mode():
            codes = self._model.encode_windows(torch.from_numpy(windows).to(self.device))
            return np.asarray(codes.cpu().numpy(), dtype=np.float32)

    def encode_steps(self, windows: Array) -> Array:
        """Log-mel windows [n, T, F] → codes [n, S, V] of their steps of time."""
        with torch.inference_mode():
            codes = self._model.encode_steps(torch.from_numpy(windows).to(self.device))
            return np.asarray(codes.cpu().numpy(), dtype=np.float32)

    def project(self, codes: Array) -> Array:
        """Codes z_a [n, V] → unit vectors φ_a [n, D]."""
        assert self._model.audio is not None, "codes come from its audio encoder"
        vectors = np.empty((len(codes), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(codes), PROJECT_BATCH):
                rows = slice(start, start + PROJECT_BATCH)
                phi = self._model.audio.project(torch.from_numpy(codes[rows]).to(self.device))
                vectors[rows] = unit(phi.cpu().numpy())
        return vectors

    def embed_codes(
        self, codes: Array, first_frames: npt.NDArray[np.int64], info: SoundInfo
    ) -> AudioEmbedding:
        """Embed a sound from its windows' codes [W, V] and first frames [W].

        The sound's vector is the projection of the mean code.
        """
        mean = codes.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        vectors = self.project(np.concatenate([mean, codes]))
        features = self.config.features
        starts = first_frames * (features.hop / features.sample_rate)
        return AudioEmbedding(vectors[0], mean[0], vectors[1:], starts.astype(np.float64), info)

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
                len(tags) < self.config.tags.max_tags
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
            count = self.config.tags.max_tags
            self.words.vectors_of([tag for tags in tag_sets for tag in tags[:count]])
        vectors = [self.word_vectors(tags) for tags in tag_sets]
        for tags, words_of_set in zip(tag_sets, vectors, strict=True):
            if not len(words_of_set):
                raise WordsError(f"tags: none of these words is understood: {' '.join(tags)!r}")
        if not vectors:
            return np.zeros((0, self.dim), dtype=np.float32)
        config = self.config.tags
        length = config.max_tags if config.sum_padding else max(map(len, vectors))
        words, mask = pad_words(vectors, length)
        with torch.inference_mode():
            phi = self._model.tags(words.to(self.device), mask.to(self.device))
            return np.asarray(phi.cpu().numpy(), dtype=np.float32)

    def word_vectors(self, tags: Iterable[str]) -> Array:
        """Vectors [n, F_w] of the first `max_tags` known tags."""
        if isinstance(self.words, SentenceVectors):
            return self.words.vectors_of(list(tags)[: self.config.tags.max_tags])
        found = (self.words.vector(tag) for tag in tags)
        vectors = [vector for vector in found if vector is not None]
        if not vectors:
            return np.zeros((0, self.words.dim), dtype=np.float32)
        return np.stack(vectors[: self.config.tags.max_tags])

    @cached_property
    def vocabulary_vectors(self) -> Array:
        """Unit vectors [len(vocabulary), D] of the tags that may be suggested, one by one."""
        if not self.vocabulary:
            return np.zeros((0, self.dim), dtype=np.float32)
        return self.embed_tags([[tag] for tag in self.vocabulary])

    @cached_property
    def vocabulary_moments(self) -> tuple[Array, Array] | None:
        """(mean, deviation) [len(vocabulary)] of the tags' cosines with sounds at large; None where
        the model states no background."""
        if self.background is None:
            return None
        return self.background.moments(self.vocabulary_vectors)


def pad_words(vectors: Sequence[Array], max_tags: int) -> tuple[Tensor, Tensor]:
    """Sets of word vectors [n_i, F_w] → words [B, N, F_w] padded with zeros, mask [B, N]."""
    dim = vectors[0].shape[1]
    words = torch.zeros(len(vectors), max_tags, dim)
    mask = torch.zeros(len(vectors), max_tags, dtype=torch.bool)
    for row, set_vectors in enumerate(vectors):
        words[row, : len(set_vectors)] = torch.from_numpy(set_vectors)
        mask[row, : len(set_vectors)] = True
    return words, mask
