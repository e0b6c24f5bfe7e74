"""The library's errors, subclasses of the project's EarmarkError."""

from __future__ import annotations

from earmark.model.core.errors import EarmarkError, InputError


class LibraryError(InputError):
    """The library cannot be used: missing, made by another model, or a newer version's."""


class FilterError(LibraryError):
    """A filter's conditions contradict each other."""


class CursorError(LibraryError):
    """A cursor that is malformed, or of another query."""


class UnknownClipError(LibraryError):
    """The library has no clip with that id."""


class UnknownCollectionError(LibraryError):
    """The library has no collection with that id."""


class UnknownClassifierError(LibraryError):
    """The library has no classifier with that id."""


class NotTaughtError(LibraryError):
    """Nothing has been fitted for a classifier: no label, and no word that the model knows."""


class OtherModelError(LibraryError):
    """A classifier that another model's vectors were fitted for."""


class UnknownEditError(LibraryError):
    """The library has no edit with that number."""


class ChangedError(LibraryError):
    """A clip was changed since the caller read it."""


class StorageError(EarmarkError):
    """The disk is full, read-only or broken. Acknowledged writes are kept."""


class EngineError(EarmarkError):
    """The embedding engine failed. Sounds that were added before are kept."""
