"""Every error a caller can cause or must handle, under one root.

Messages are one line and name the argument, what was expected and what came.
The command line prints them and exits 2 (bad input) or 1 (failed work); the service maps
each kind to one HTTP status (`service.http.problems`).
"""


class EarmarkError(Exception):
    """Root of all errors raised on purpose by this project."""


class InputError(EarmarkError, ValueError):
    """An argument is not acceptable: the caller can mend it."""


class ConfigError(InputError):
    """A configuration or preset is unknown or does not fit together."""


class AudioError(InputError):
    """Bytes or a file could not be read as sound, or hold no usable sound."""


class ManifestError(InputError):
    """A manifest of sounds cannot be read or lacks something."""


class WordsError(InputError):
    """Word vectors or a vocabulary could not be read or do not fit."""


class CheckpointError(InputError):
    """A model file is missing, truncated, altered, of another format, or does not fit."""
