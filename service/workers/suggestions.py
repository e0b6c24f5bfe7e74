"""Computes suggested tags in a thread of the service, once somebody has asked for them.

From then on what is added or changed gets its own within a moment. One service of a library does
it at a time (`index.curation.suggestions`).
"""

from __future__ import annotations

import logging
import threading

from earmark.index.curation import suggestions
from earmark.index.curation.suggestions import Progress, Suggesting
from earmark.index.library import Library
from earmark.model.core.errors import EarmarkError

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0  # between looks at what others have changed


class SuggestionWorker:
    """Computes a library's suggestions. Safe to share between threads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._news = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="suggestions", daemon=True)
        self._thread.start()

    def ask(self) -> Progress:
        """Let suggestions be computed. Raises StorageError."""
        progress = suggestions.ask(self._library)
        self._news.set()
        return progress

    def close(self) -> None:
        """Stop after the batch at work; it goes on when a service is started again."""
        self._closed = True
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        suggesting = Suggesting(self._library, lambda: self._closed)
        fault = ""
        while not self._closed:
            self._news.clear()
            try:
                if suggesting.is_due():
                    suggesting.run()
                fault = ""
            except EarmarkError as error:  # a folder that may only be read, a full disk
                if str(error) != fault:
                    log.warning("suggestions: %s", error)
                fault = str(error)
            except Exception as error:  # the next look may find memory again
                if repr(error) != fault:
                    log.exception("suggestions")
                fault = repr(error)
            self._news.wait(POLL_SECONDS)
