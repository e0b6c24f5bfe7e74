"""What all encoders share: a sound from its windows' codes, and the vectors of the vocabulary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import SoundReader, Source
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.background import Background
from earmark.model.calibration import Calibration, summary
from earmark.model.core.arrays import Array
from earmark.model.embedder import AudioEmbedding
from earmark.model.front_end import FrontEnd, Windows

WINDOW_BATCH = 64  # windows in one pass of the encoder: bounds memory


class BaseEmbedder(ABC):
    """An `Embedder` but for what the encoder computes.

    `vocabulary`: the tags that may be suggested; `card`: how the model was made, its figures and
    its calibration. Raises CheckpointError if that is for another number of tags.
    """

    front_end: FrontEnd

    def __init__(
        self,
        fingerprint: str,
        vocabulary: list[str],
        card: dict[str, Any],
        background: Background | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.vocabulary = vocabulary
        self.card = card
        self.background = background
        self.calibration = Calibration.from_card(card, len(vocabulary))

    @property
    @abstractmethod
    def dim(self) -> int:
        """D, the size of every vector."""

    @property
    def licence(self) -> str:
        """Under which the model may be used (SPDX), as its card states; "" where it states none."""
        return str(self.card.get("licence", ""))

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return False

    def calibration_summary(self) -> dict[str, Any] | None:
        """The calibration as the API shows it (`model.calibration.summary`)."""
        return summary(self.card, self.vocabulary)

    # Sound

    def require_audio(self) -> None:  # noqa: B027 (most can)
        """Raise ConfigError if the model cannot embed sounds."""

    @abstractmethod
    def encode(self, windows: Array) -> Array:
        """Features of windows [n, …] → codes z_a [n, V]."""

    @abstractmethod
    def project(self, codes: Array) -> Array:
        """Codes z_a [n, V] → unit vectors φ_a [n, D]."""

    def embed_audio(
        self, source: Source, name: str = "file", max_seconds: float | None = None
    ) -> AudioEmbedding:
        """Embed a sound, from a file or its bytes. Raises AudioError, ConfigError."""
        self.require_audio()
        reader = SoundReader(source, self.front_end.sample_rate, name, max_seconds)
        codes, starts = [], []
        for windows, window_starts in self.windows(reader):
            codes.append(self.encode(windows))
            starts.append(window_starts)
        return self.embed_codes(np.concatenate(codes), np.concatenate(starts), reader.info)

    def windows(self, reader: SoundReader) -> Iterator[Windows]:
        """A sound → blocks of (features of windows [n ≤ 64, …], starts [n]). Raises AudioError."""
        yield from self.front_end.windows(reader.blocks(), WINDOW_BATCH)

    def embed_codes(
        self, codes: Array, starts: npt.NDArray[np.float64], info: SoundInfo
    ) -> AudioEmbedding:
        """Embed a sound from its windows' codes [W, V] and starts [W]: its vector is the projection
        of the mean code."""
        mean = codes.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        vectors = self.project(np.concatenate([mean, codes]))
        return AudioEmbedding(vectors[0], mean[0], vectors[1:], starts, info)

    # Words

    @abstractmethod
    def embed_tags(self, tag_sets: Sequence[Sequence[str]]) -> Array:
        """Sets of tags → unit vectors [n, D]. Raises WordsError for a set without a known tag."""

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
