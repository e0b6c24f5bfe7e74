"""Sounds and tags → unit vectors of one space: what the rest of the project works with.

Conventions: vectors are float32 of length 1, so that the inner product is the cosine; times
are seconds from the start of the sound. The same sound always gives the same vector, alone
or beside others: nothing is cropped at random, nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earmark.model import checkpoint
from earmark.model.audio.decode import SoundInfo, SoundReader, Source
from earmark.model.audio.log_mel import LogMel, patches
from earmark.model.calibration import UNKNOWN_THRESHOLD, Calibration, in_company, summary
from earmark.model.core.arrays import Array
from earmark.model.core.errors import ConfigError, WordsError
from earmark.model.text.normalize import clean_tags, tokens
from earmark.model.text.thesaurus import Thesaurus

WINDOW_BATCH = 64  # windows in one pass of the encoder: bounds memory
LED = 0.7  # of a tag's vector, what the thesaurus says of one that the model was not trained on
MAX_UNKNOWN_LENGTH = 60  # letters of a word that are looked at


@dataclass(frozen=True)
class AudioEmbedding:
    """A sound's vector [D], and those of its windows [W, D] with their starts [W] in seconds.

    `code`: z_a [V], averaged over the windows, what downstream tasks build on.
    """

    vector: Array
    code: Array
    windows: Array
    starts: npt.NDArray[np.float64]
    info: SoundInfo


@dataclass(frozen=True)
class Understood:
    """A text as the model takes it: `tags` it will use, and `ignored` words it does not use,
    being unknown or more than it takes. `guessed`: words of `tags` that are misspelt or run
    together, and what they are taken for.
    """

    tags: list[str]
    ignored: list[str]
    guessed: dict[str, str]


def unit(vectors: Array) -> Array:
    """Rows scaled to length 1; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def select_device(name: str) -> torch.device:
    """A torch device by name. Raises ConfigError when it is not there: never a silent CPU."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: expected cpu, cuda or cuda:N, got {name!r}") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
        raise ConfigError(f"device: expected cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= there:
            had = "no GPU" if not there else f"only {there} of the kind"
            raise ConfigError(f"device: {name!r} was asked for, but {had} can be used here")
    return device


class Embedder:
    """A loaded model, ready to embed. Safe to share between threads."""

    def __init__(self, loaded: checkpoint.Checkpoint, device: str = "cpu") -> None:
        self.device = select_device(device)
        self.config = loaded.model.config
        self.fingerprint = loaded.fingerprint
        self.words = loaded.words
        self.vocabulary = loaded.vocabulary
        self.card: dict[str, Any] = loaded.card
        self._calibration = Calibration.of_card(self.card, len(self.vocabulary))
        self.log_mel = LogMel(self.config.features, loaded.model.mel_filters.cpu().numpy())
        self._model = loaded.model.eval().to(self.device)
        self._model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Embedder:
        """From a model's file or directory. Raises CheckpointError, ConfigError."""
        loaded = checkpoint.load(path)
        if loaded.model.audio is not None:
            loaded.model.audio.fuse()  # nobody trains it from here
        return cls(loaded, device)

    @property
    def dim(self) -> int:
        """D, the size of every vector."""
        return self.config.dim

    # Sound

    def check_hears(self) -> None:
        """Raise ConfigError where the model cannot embed sounds."""
        if not self.config.hears:
            raise ConfigError(f"model {self.config.name}: embeds tags only, it has no audio half")
        if not self.config.scaler_known:
            raise ConfigError(
                f"model {self.config.name}: was trained on scaled patches without their scaler, "
                "it cannot hear sounds"
            )

    def embed_audio(
        self, source: Source, name: str = "file", max_seconds: float | None = None
    ) -> AudioEmbedding:
        """A file's path or its bytes → its vector. Raises AudioError.

        Reads in blocks: memory does not grow with the length of the sound, but for the
        window vectors themselves.
        """
        return self.embed_codes(*self._encode(source, name, max_seconds))

    def _encode(
        self, source: Source, name: str, max_seconds: float | None
    ) -> tuple[Array, npt.NDArray[np.int64], SoundInfo]:
        """A sound → (codes z_a [W, V], first frames [W], what is known of the file)."""
        reader = SoundReader(source, self.config.features.sample_rate, name, max_seconds)
        codes, starts = [], []
        for windows, first in self.patches(reader):
            codes.append(self.encode(windows))
            starts.append(first)
        return np.concatenate(codes), np.concatenate(starts), reader.info

    def patches(self, reader: SoundReader) -> Iterator[tuple[Array, npt.NDArray[np.int64]]]:
        """A sound → blocks of (log-mel windows [n ≤ 64, T, F], first frames [n]).

        Raises AudioError, and ConfigError where the model's scaler is not known.
        """
        self.check_hears()
        yield from patches(self.log_mel, reader.blocks(), WINDOW_BATCH)

    def encode(self, windows: Array) -> Array:
        """Log-mel windows [n, T, F] → codes z_a [n, V]."""
        with torch.inference_mode():
            codes = self._model.encode_patches(torch.from_numpy(windows).to(self.device))
            return np.asarray(codes.cpu().numpy(), dtype=np.float32)

    def project(self, codes: Array) -> Array:
        """Codes z_a [n, V] → unit vectors φ_a [n, D]."""
        with torch.inference_mode():
            assert self._model.audio is not None, "codes come from its audio encoder"
            phi = self._model.audio.project(torch.from_numpy(codes).to(self.device))
            return unit(phi.cpu().numpy())

    def embed_codes(
        self, codes: Array, first: npt.NDArray[np.int64], info: SoundInfo
    ) -> AudioEmbedding:
        """Codes of a sound's windows [W, V] and their first frames [W] → its vector.

        z_a is averaged over the windows, then projected to φ_a.
        """
        mean = codes.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        vectors = self.project(np.concatenate([mean, codes]))
        features = self.config.features
        seconds = first * (features.hop / features.sample_rate)
        return AudioEmbedding(vectors[0], mean[0], vectors[1:], seconds.astype(np.float64), info)

    # Words

    def tag_probabilities(self, cosines: Array) -> Array:
        """Cosines [..., V] of sounds and the vocabulary → how probable each tag is [..., V].

        Each tag for itself: several can be true (`model.calibration`). Without a calibration,
        (1 + cosine) / 2. Raises InputError for another number of cosines.
        """
        if self._calibration is None:
            return np.asarray((1 + cosines) / 2, dtype=np.float32)
        return self._calibration.probabilities(cosines)

    def in_company(self, probabilities: Array, known: Sequence[str]) -> Array:
        """Probabilities [..., V] of a sound's tags → those once it is known to have other tags:
        what the tag encoder puts near to their set gains. Raises WordsError.
        """
        near = self.vocabulary_vectors @ self.embed_tags([known])[0]
        return in_company(self.card, probabilities, near)

    def label_probabilities(self, labels: Sequence[str], cosines: Array, vector: Array) -> Array:
        """Cosines [n] of a sound's vector [D] and labels → how probable each is by itself [n].

        A label of the vocabulary has that tag's curve, others that of a middling tag.
        """
        if self._calibration is None:
            return np.asarray((1 + cosines) / 2, dtype=np.float32)
        places = {tag: place for place, tag in enumerate(self.vocabulary)}
        own = [places.get(label) for label in labels]
        return self._calibration.of_others(cosines, own, self.vocabulary_vectors @ vector)

    @property
    def tag_thresholds(self) -> Array:
        """The probability from which each tag of the vocabulary is suggested [V]."""
        if self._calibration is None:
            return np.full(len(self.vocabulary), UNKNOWN_THRESHOLD, dtype=np.float32)
        return self._calibration.thresholds

    @property
    def tag_rates(self) -> Array | None:
        """How probable each tag is of a sound that nobody has heard [V]; None when not known.

        A probability over it says how many times likelier the sound makes the tag.
        """
        return None if self._calibration is None else self._calibration.rates

    def calibration_summary(self) -> dict[str, Any] | None:
        """How scores were calibrated, the figures, and each tag's threshold; None if not."""
        return summary(self.card, self.vocabulary)

    @property
    def temperature(self) -> float:
        """τ of the softmax that the model was trained with."""
        return float(self.card.get("temperature", 0.1))

    @property
    def class_temperature(self) -> float:
        """τ of the softmax over exclusive classes: fitted on validation clips, else as trained."""
        return float(self.card.get("class_temperature", self.temperature))

    def understand(self, text: str | Iterable[str]) -> Understood:
        """A text or a list of words → the tags the model can use, at most `max_tags`."""
        tags: list[str] = []
        pieces = text.split() if isinstance(text, str) else list(text)
        ignored = [
            piece[:MAX_UNKNOWN_LENGTH].encode(errors="replace").decode()  # lone surrogates: "?"
            for piece in pieces
            if not tokens(piece)
        ]
        for tag in clean_tags(pieces, self.words):
            # A full set comes first: looking up an unknown word is slow.
            full = len(tags) == self.config.tags.max_tags
            known = not full and len(tag) <= MAX_UNKNOWN_LENGTH
            usable = known and self.words.vector(tag) is not None
            (tags if usable else ignored).append(tag)
        guesses = {tag: self.words.guess(tag) for tag in tags}
        return Understood(tags, ignored, {tag: known for tag, known in guesses.items() if known})

    def embed_tags(
        self, tag_sets: Sequence[Sequence[str]], thesaurus: Thesaurus | None = None
    ) -> Array:
        """Sets of tags → unit vectors [n, D]. Unknown tags are skipped (see `understand`).

        `thesaurus`: leads tags that the model was not trained on to those that it was.
        Raises WordsError for a set in which nothing is understood.
        """
        return unit(self.encode_tags(tag_sets, thesaurus))

    def encode_tags(
        self, tag_sets: Sequence[Sequence[str]], thesaurus: Thesaurus | None = None
    ) -> Array:
        """Sets of tags → φ_w [n, D] as the encoder gives it, of any length. Raises WordsError."""
        vectors = [self.word_vectors(tags, thesaurus) for tags in tag_sets]
        for tags, found in zip(tag_sets, vectors, strict=True):
            if not len(found):
                raise WordsError(f"tags: none of these words is understood: {' '.join(tags)!r}")
        if not vectors:
            return np.zeros((0, self.dim), dtype=np.float32)
        config = self.config.tags
        longest = config.max_tags if config.sum_padding else max(map(len, vectors))
        words, mask = pad_words(vectors, longest)
        with torch.inference_mode():
            phi = self._model.tags(words.to(self.device), mask.to(self.device))
            return np.asarray(phi.cpu().numpy(), dtype=np.float32)

    def word_vectors(self, tags: Iterable[str], thesaurus: Thesaurus | None = None) -> Array:
        """Vectors [n, F_w] of the first `max_tags` of the tags that are understood.

        With a thesaurus that of a tag outside the vocabulary is drawn towards the vocabulary.
        """
        known = []
        for tag in tags:
            vector = self.words.vector(tag)
            if vector is not None:
                known.append(vector if thesaurus is None else self._led(tag, vector, thesaurus))
        if not known:
            return np.zeros((0, self.words.dim), dtype=np.float32)
        return np.stack(known[: self.config.tags.max_tags])

    def _led(self, tag: str, vector: Array, thesaurus: Thesaurus) -> Array:
        """A tag's vector [F_w], and LED of the weighted mean of related tags of the vocabulary."""
        standing = (tag,) if tag in self.words else self.words.resolve(tag)
        if self._trained.issuperset(standing):
            return vector
        mean, total = np.zeros_like(vector), 0.0
        for word in standing:
            for other, weight in thesaurus.related(word).items():
                own = self.words.vector(other) if other in self._trained else None
                if own is not None:
                    mean, total = mean + weight * own, total + weight
        if not total:
            return vector
        return np.asarray((1 - LED) * vector + LED / total * mean, dtype=np.float32)

    @cached_property
    def _trained(self) -> frozenset[str]:
        return frozenset(self.vocabulary)

    @cached_property
    def vocabulary_vectors(self) -> Array:
        """Vectors [len(vocabulary), D] of the tags that may be suggested, each alone."""
        if not self.vocabulary:
            return np.zeros((0, self.dim), dtype=np.float32)
        return self.embed_tags([[tag] for tag in self.vocabulary])


def pad_words(vectors: Sequence[Array], max_tags: int) -> tuple[Tensor, Tensor]:
    """Sets of word vectors [n_i, F_w] → words [B, N, F_w] padded with zeros, mask [B, N]."""
    dim = vectors[0].shape[1]
    words = torch.zeros(len(vectors), max_tags, dim)
    mask = torch.zeros(len(vectors), max_tags, dtype=torch.bool)
    for row, own in enumerate(vectors):
        words[row, : len(own)] = torch.from_numpy(own)
        mask[row, : len(own)] = True
    return words, mask
