"""Errors of the library, under the project's root."""

from __future__ import annotations

from earmark.model.core.errors import EarmarkError, InputError


class LibraryError(InputError):
    """The library cannot be opened or used as asked (missing, another model's, a newer one)."""


class FilterError(LibraryError):
    """A filter's conditions make no sense."""


class CursorError(LibraryError):
    """A cursor that no search gave, or another query's."""


class UnknownClipError(LibraryError):
    """No clip has that id."""


class ChangedError(LibraryError):
    """A clip is no longer what it was when the caller read it."""


class StorageError(EarmarkError):
    """The disk refused (full, read-only, broken). What was acknowledged before is kept."""


class EngineError(EarmarkError):
    """Sounds could not be embedded where that was to happen. What was added before is kept."""
