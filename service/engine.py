"""What the service can do, free of any web framework: the routes and the command line call it.

Conventions: cosines in [-1, 1], probabilities in [0, 1], times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.index.catalogue.records import Clip
from earmark.index.library import Found, Library
from earmark.index.search.ranking import Hit
from earmark.index.types import Filter
from earmark.model.audio.decode import Source
from earmark.model.checkpoint import starter_model
from earmark.model.embedder import AudioEmbedding, Embedder
from earmark.model.tagging import Suggestion, suggest
from earmark.model.zero_shot import Classification, Labels, different, exclusive, several
from earmark.service.demo import open_library


class Engine:
    """A model and, for what needs one, a library. Safe to share between threads."""

    def __init__(self, embedder: Embedder, library: Library | None = None) -> None:
        self.embedder = embedder
        self._library = library

    @classmethod
    def open(
        cls,
        model: Path | None = None,
        library: Path | None = None,
        *,
        device: str = "cpu",
        with_library: bool = True,
    ) -> Engine:
        """Load a model (the starter by default) and open a library (the demo by default)."""
        embedder = Embedder.load(model or starter_model(), device)
        return cls(embedder, open_library(library, embedder) if with_library else None)

    def close(self) -> None:
        """Close the library."""
        if self._library is not None:
            self._library.close()

    @property
    def library(self) -> Library:
        """The open library."""
        assert self._library is not None, "this engine was opened without a library"
        return self._library

    # Sound files, here and now: for the command line

    def hear(self, source: Source, max_seconds: float | None = None) -> AudioEmbedding:
        """A sound's vectors. Raises AudioError."""
        return self.embedder.embed_audio(source, _name(source), max_seconds)

    def search(
        self,
        text: str,
        k: int = 10,
        where: Filter | None = None,
        *,
        cursor: str = "",
        distinct: bool = False,
    ) -> Found:
        """Sounds for words, of those that pass a filter. Raises CursorError."""
        return self.library.search(text, k, where, cursor=cursor, distinct=distinct)

    def similar(self, source: Source, k: int = 10) -> list[Hit]:
        """Sounds like a sound. Raises AudioError."""
        return self.library.similar(self.hear(source).vector, k)

    def clip(self, clip_id: str) -> Clip:
        """A clip of the library. Raises UnknownClipError."""
        return self.library.catalogue.clip(clip_id)

    # Vectors of sounds → answers

    def suggest(self, sound: AudioEmbedding, k: int = 10, known: Sequence[str] = ()) -> Suggestion:
        """Tags for a sound, beside those that are known."""
        return suggest(self.embedder, sound, k, known)

    def labels(self, labels: Sequence[str], least: int = 2) -> Labels:
        """One's own labels, `least` or more. Raises InputError."""
        return Labels.of(self.embedder, different(labels), least)

    def prompted(self, prompts: Mapping[str, Sequence[str]], least: int = 2) -> Labels:
        """Labels, each by several prompts. Raises InputError."""
        return Labels.of(self.embedder, prompts, least)

    def classify(
        self, sound: AudioEmbedding, labels: Labels, *, multiple: bool = False
    ) -> Classification:
        """How probable labels are: exclusive classes, or `multiple` of them true at once."""
        judge = several if multiple else exclusive
        return judge(self.embedder, labels, sound.vector)

    def model_card(self) -> dict[str, Any]:
        """What is known of the model, its figures and limits."""
        embedder = self.embedder
        card = {name: value for name, value in embedder.card.items() if name != "history"}
        if (calibration := embedder.calibration_summary()) is not None:
            card["calibration"] = calibration  # its figures, and by tag what is kept by number
        return {
            "name": embedder.config.name,
            "fingerprint": embedder.fingerprint,
            "dim": embedder.dim,
            "words": len(embedder.words),
            "vocabulary": len(embedder.vocabulary),
            "max_tags": embedder.config.tags.max_tags,
            "window_seconds": embedder.config.features.window_seconds,
            "sample_rate": embedder.config.features.sample_rate,
            "card": card,
        }


def _name(source: Source) -> str:
    """What error messages call a sound: never a name that a client chose."""
    return source.name if isinstance(source, Path) else "file"
