"""Calibration of a CLAP model, which none of our sounds trained: all labelled ones validate.

What is fitted goes into `earmark.json` in its folder, beside weights that stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.background import Background
from earmark.model.core.errors import ConfigError
from earmark.model.core.manifest import ManifestRow
from earmark.model.encoders.clap import ClapEmbedder
from earmark.model.encoders.clap_files import Own, write_own
from earmark.model.text.normalize import clean_tags
from earmark.training.calibration.fit import fit_calibration
from earmark.training.calibration.relevance import MIN_CLIPS, fit_relevance
from earmark.training.calibration.validation_set import hear_clips, validation_set_of
from earmark.training.corpora.split import TEST
from earmark.training.errors import CorpusError

FITTED = ("calibration", "class_temperature", "company", "relevance")


def read_vocabulary(file: Path) -> list[str]:
    """The tags of a text file, one a line. Raises ConfigError.

    The words of a tag are joined by hyphens. Lines that are empty or begin with # are passed over.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--vocabulary: {file} cannot be read as UTF-8 text") from error
    tags: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = clean_tags(["-".join(line.split())])
        if len(found) != 1:
            raise ConfigError(f"--vocabulary: {file}, line {number}: expected a tag, got {line!r}")
        tags += found
    if not tags:
        raise ConfigError(f"--vocabulary: expected at least one tag in {file}, got none")
    return list(dict.fromkeys(tags))


def calibrate_clap(
    embedder: ClapEmbedder,
    folder: Path,
    rows: Sequence[ManifestRow],
    vocabulary: Sequence[str] | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Fit the model in a folder to labelled clips, write `earmark.json`, and return the card.

    Clips of the split "test" are left out. `vocabulary`: the tags that are suggested; those that
    it has when None. How sounds at large lie in the space is measured on 100 clips or more.
    Raises CorpusError, CheckpointError.
    """
    if vocabulary is not None:
        embedder.vocabulary = list(vocabulary)
        embedder.vocabulary_vectors = embedder.embed_tags([[tag] for tag in vocabulary])
    clips, audio = hear_clips(embedder, [row for row in rows if row.split != TEST], cache)
    embedder.background = Background.of(audio) if len(clips) >= MIN_CLIPS else None
    none_trained = np.zeros(len(embedder.vocabulary), dtype=np.int64)
    validation = validation_set_of(embedder, clips, audio, none_trained)
    if not validation.usable:
        raise CorpusError("calibration: no clip carries a tag of the vocabulary")
    card = {name: value for name, value in embedder.card.items() if name not in FITTED}
    fit_calibration(card, validation)
    fit_relevance(card, embedder, validation)
    tags, vectors = embedder.vocabulary, embedder.vocabulary_vectors
    # What the folder's own files state is read from them, as they may change.
    fitted = {name: card[name] for name in FITTED if name in card}
    write_own(folder, Own(embedder.fingerprint, tags, vectors, fitted, embedder.background))
    return card
