"""Errors of training and evaluation, under the project's root."""

from __future__ import annotations

from earmark.model.core.errors import EarmarkError, InputError


class CorpusError(InputError):
    """A corpus, manifest or split cannot be used as it is."""


class TrainingError(EarmarkError):
    """Training cannot go on (for example, a loss that is no longer finite)."""
