"""What an encoder is: sounds and phrases → unit vectors in one space.

All that works with a model knows this protocol only; `model.encoders` implements it and
`model.encoders.load` opens models. Vectors are float32 of length 1, so that their inner product is
the cosine. Times are in seconds from the start of the sound. Nothing is random: the same sound
always has the same vector, alone or in a batch. Axes: n = items, W = windows of a sound, S = steps
of a sound, V = audio code, D = shared dimension. A window's features have axes of their encoder's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import SoundReader, Source
from earmark.model.audio.file_metadata import FileMetadata
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.background import Background
from earmark.model.calibration import Calibration, Uncalibrated
from earmark.model.core.arrays import Array
from earmark.model.front_end import FrontEnd, Windows
from earmark.model.text.word_vectors import WordVectors


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


class Embedder(Protocol):
    """A loaded encoder. Safe to share between threads."""

    @property
    def name(self) -> str:
        """Of the model, as people see it."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits. Models with the same one give the same vectors."""

    @property
    def licence(self) -> str:
        """Under which the model may be used (SPDX), as it states; "" where it states none."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Of the phrases that it reads (BCP 47); empty where it knows single words."""

    @property
    def sentence_encoder(self) -> str:
        """What reads whole phrases; "" where it knows single words."""

    @property
    def dim(self) -> int:
        """D, the size of every vector."""

    @property
    def code_dim(self) -> int:
        """V, the size of a window's code."""

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU, which takes large batches one after the other."""

    @property
    def card(self) -> dict[str, Any]:
        """How it was made, its figures and its calibration."""

    @property
    def calibration(self) -> Calibration | Uncalibrated:
        """Cosines → probabilities of its tags."""

    @property
    def background(self) -> Background | None:
        """How sounds at large lie in the space, where that was measured."""

    # Sound

    @property
    def front_end(self) -> FrontEnd:
        """Samples → features of windows: sample rate, length of a window."""

    @property
    def step_seconds(self) -> float:
        """Time between steps, the shortest pieces of a sound that have codes of their own."""

    @property
    def window_steps(self) -> int:
        """Steps in a window."""

    def require_audio(self) -> None:
        """Raise ConfigError if the model cannot embed sounds."""

    def embed_audio(
        self, source: Source, name: str = "file", max_seconds: float | None = None
    ) -> AudioEmbedding:
        """Embed a sound, from a file or its bytes. Raises AudioError, ConfigError.

        Reads in blocks: memory does not grow with the length of the sound, except for the
        vectors of its windows.
        """

    def windows(self, reader: SoundReader) -> Iterator[Windows]:
        """A sound → blocks of (features of windows [n ≤ 64, …], starts [n]). Raises AudioError."""

    def encode(self, windows: Array) -> Array:
        """Features of windows [n, …] → codes z_a [n, V]."""

    def project(self, codes: Array) -> Array:
        """Codes z_a [n, V] → unit vectors φ_a [n, D]."""

    def embed_codes(
        self, codes: Array, starts: npt.NDArray[np.float64], info: SoundInfo
    ) -> AudioEmbedding:
        """Embed a sound from its windows' codes [W, V] and starts [W].

        The sound's vector is the projection of the mean code.
        """

    def encode_sound_steps(
        self, blocks: Iterable[Windows], on_seconds: Callable[[float], None] = lambda _: None
    ) -> npt.NDArray[np.float16]:
        """The codes [S, V] of a sound's steps, in half precision, from the blocks of `windows`.

        `on_seconds` is called with the seconds of the sound that were heard so far.
        """

    # Words

    @property
    def words(self) -> WordVectors:
        """The words that it knows, or English words where it reads phrases."""

    @property
    def vocabulary(self) -> list[str]:
        """The tags that may be suggested."""

    @property
    def max_tags(self) -> int:
        """How many pieces of a set of tags are read."""

    def parse_tags(self, text: str | Iterable[str]) -> ParsedTags:
        """A text or a list of words → the tags that the model uses.

        At most `max_tags`, but all words of a phrase where the model reads whole phrases.
        """

    def embed_tags(self, tag_sets: Sequence[Sequence[str]]) -> Array:
        """Sets of tags → unit vectors [n, D]. Unknown tags are skipped (see `parse_tags`).

        Raises WordsError for a set without a known tag.
        """

    def encode_tags(self, tag_sets: Sequence[Sequence[str]]) -> Array:
        """Sets of tags → φ_w [n, D], not scaled to length 1. Raises WordsError."""

    @property
    def vocabulary_vectors(self) -> Array:
        """Unit vectors [len(vocabulary), D] of the tags that may be suggested, one by one."""

    @property
    def vocabulary_moments(self) -> tuple[Array, Array] | None:
        """(mean, deviation) [len(vocabulary)] of the tags' cosines with sounds at large; None where
        the model states no background."""

    def calibration_summary(self) -> dict[str, Any] | None:
        """The calibration as the API shows it (`model.calibration.summary`)."""
