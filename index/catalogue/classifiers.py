"""Sounds that people teach, in the catalogue: classifiers, their labels and versions.

A label says of a clip, or of a moment of it, whether it is the sound. A version is what was fitted
to the labels of one moment. Times are seconds from the start of a clip; a label of a whole clip
begins and ends at 0. Dates are ISO 8601 in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.errors import UnknownClassifierError
from earmark.model.taught import LinearClassifier


@dataclass(frozen=True)
class Classifier:
    """A sound that people teach. `id`: never changes; `tag`: what it suggests; `positives` and
    `negatives`: its labels; `version`: of `fitted`, 0 and None before the first; `imported`: it
    came from another library; `generation`: of its last change.

    `figures` of the version: `positives`, `negatives`: labels that it was fitted to; and where
    there are five of each `average_precision`, `balanced_accuracy`: on left-out labels.
    """

    number: int
    id: str
    name: str
    tag: str
    positives: int
    negatives: int
    version: int
    created_at: str
    changed_at: str
    generation: int
    imported: bool
    fitted: LinearClassifier | None
    figures: Mapping[str, Any]
    fingerprint: str
    fitted_at: str


@dataclass(frozen=True)
class Label:
    """Whether a clip, or the moment of it from `start` to `end`, is the sound; `by`: whose key."""

    clip: str
    title: str
    start: float
    end: float
    right: bool
    by: str
    at: str


_SELECT = (
    "SELECT classifiers.number, id, name, tag, "
    "(SELECT count(*) FROM classifier_labels WHERE classifier = classifiers.number AND right), "
    "(SELECT count(*) FROM classifier_labels WHERE classifier = classifiers.number AND NOT right), "
    "classifiers.version, created_at, changed_at, generation, classifiers.start IS NOT NULL, "
    "vector, bias, figures, fingerprint, fitted_at FROM classifiers "
    "LEFT JOIN classifier_versions AS fitted "
    "ON fitted.classifier = classifiers.number AND fitted.version = classifiers.version"
)


def classifiers(catalogue: Catalogue) -> list[Classifier]:
    """All classifiers, by name."""
    return [_read(row) for row in catalogue.database.query(f"{_SELECT} ORDER BY name_key")]


def classifier(catalogue: Catalogue, classifier_id: str) -> Classifier:
    """The classifier with an id. Raises UnknownClassifierError."""
    found = catalogue.database.query(f"{_SELECT} WHERE id = ?", (classifier_id,))
    if not found:
        raise unknown(classifier_id)
    return _read(found[0])


def present(catalogue: Catalogue, ids: Sequence[str]) -> tuple[str, ...]:
    """Those of these ids that a classifier has."""
    found = catalogue.database.query(
        "SELECT id FROM classifiers WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    return tuple(each for (each,) in found)


def labels(catalogue: Catalogue, number: int) -> list[Label]:
    """All labels of a classifier, the last one first."""
    found = catalogue.database.query(
        "SELECT clips.id, title, start, end, right, given_by, given_at FROM classifier_labels "
        "JOIN clips USING (row) WHERE classifier = ? ORDER BY classifier_labels.number DESC",
        (number,),
    )
    return [
        Label(clip, title, start, end, bool(right), by, at)
        for clip, title, start, end, right, by, at in found
    ]


def unknown(classifier_id: str) -> UnknownClassifierError:
    """The error for an id that no classifier has."""
    return UnknownClassifierError(f"classifier: none has the id {classifier_id[:60]!r}")


def _read(row: tuple[Any, ...]) -> Classifier:
    *facts, imported, vector, bias, figures, fingerprint, fitted_at = row
    fitted = None
    if vector is not None:
        fitted = LinearClassifier(np.frombuffer(vector, np.float32), bias)
    version = (fitted, json.loads(figures or "{}"), fingerprint or "", fitted_at or "")
    values = (*facts, bool(imported), *version)
    return Classifier(*values)
