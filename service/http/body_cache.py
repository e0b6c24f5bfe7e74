"""A large JSON body that is rendered once for all requests."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Body:
    """The bytes of a response body, and its entity tag."""

    content: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes) -> Body:
        """A body with a tag of its bytes."""
        return cls(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


class BodyCache:
    """The rendered body of one object, until it is asked for another. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._source: object = None
        self._body: Body | None = None

    def get(self, source: object, render: Callable[[], bytes]) -> Body:
        """The body of `source`, rendered unless it is the same object as before."""
        with self._lock:  # requests that come meanwhile wait for the first one's body
            if self._body is None or self._source is not source:
                self._body = Body.of(render())
                self._source = source
            return self._body
