"""The errors that callers cause or must handle, under one root.

A message is one line and names the argument, the expectation and the value received. The command
line prints it and exits with 2 (bad input) or 1 (failed work); the service maps each class to an
HTTP status (`service.http.problems`).
"""


class EarmarkError(Exception):
    """Root of all errors that Earmark raises on purpose."""


class InputError(EarmarkError, ValueError):
    """An argument is invalid: the caller can correct it."""


class ConfigError(InputError):
    """A configuration or preset is unknown or inconsistent."""


class AudioError(InputError):
    """A file or bytes cannot be decoded as sound, or hold no usable sound."""


class ManifestError(InputError):
    """A manifest cannot be read, or lacks a column or its sounds."""


class WordsError(InputError):
    """Word vectors, words or a thesaurus are invalid, or cannot be read."""


class CheckpointError(InputError):
    """A model file is missing, truncated, altered, of another format, or inconsistent."""
